/**
 * Names of options, and what to say of one that does not exist. Pure.
 *
 * @module
 */
import { describe, wrongArgument } from "./packed.ts";

/** Names that other libraries use, or that mean nearly the same. */
const SYNONYMS: Readonly<Record<string, string>> = {
  ge: "gte",
  le: "lte",
  from: "gte",
  start: "gte",
  take: "limit",
  desc: "reverse",
  descending: "reverse",
  mode: "seek",
  cache: "memoryBudget",
  cachesize: "memoryBudget",
  create: "createIfMissing",
  createifnotexists: "createIfMissing",
  exclusive: "errorIfExists",
  keycodec: "keys",
  keyencoding: "keys",
  valuecodec: "values",
  valueencoding: "values",
  sync: "safety",
  synchronous: "safety",
  timeout: "busyTimeout",
};

/**
 * Throws `TypeError` for what is no object with options, or has one whose name is not `known`.
 * `example` is what they may look like.
 */
export function checkOptions(options: unknown, known: readonly string[], example?: string): void {
  const isList = Array.isArray(options) || ArrayBuffer.isView(options);
  if (typeof options !== "object" || options === null || isList) {
    const given = describe(options);
    throw wrongArgument(
      example === undefined
        ? `Options must be an object, not ${given}`
        : `Expected ${example}, got ${given}`,
    );
  }
  checkNames(options, known);
}

/**
 * Throws `TypeError` for an option whose name is not `known`, with the name that may have been
 * meant.
 */
function checkNames(options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const near = synonym(name, known) ?? nearest(name, known);
    const guess = near === undefined ? "." : `; did you mean ${near}?`;
    throw wrongArgument(`There is no option ${name}${guess} Options are ${known.join(", ")}`);
  }
}

function synonym(name: string, known: readonly string[]): string | undefined {
  const key = name.toLowerCase();
  const found = Object.hasOwn(SYNONYMS, key) ? SYNONYMS[key] : undefined;
  return found !== undefined && known.includes(found) ? found : undefined;
}

/**
 * The known name with the fewest letters to change, if that is few: three, or half of a short name.
 * Of several the longest.
 */
function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.min(3, Math.floor(name.length / 2)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    const isLonger = best !== undefined && candidate.length > best.length;
    if (distance < least || (distance === least && isLonger)) [best, least] = [candidate, distance];
  }
  return best;
}

function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, i) => i);
  for (let i = 0; i < left.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < right.length; j++) {
      const change = (row[j] ?? 0) + (left[i] === right[j] ? 0 : 1);
      next.push(Math.min(change, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}
