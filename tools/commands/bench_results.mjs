/**
 * Results of benchmarks: the machine they are from, the file they are kept in.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { arch, cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { ROOT } from "../bootstrap/project.mjs";

export const RESULTS = "benches/results";

/** Words of `a=b` over defaults; returns undefined and the word that is none of them. */
export function readOptions(words, defaults) {
  const options = { ...defaults };
  for (const word of words) {
    const [name, value] = word.split(/=(.*)/s);
    if (!Object.hasOwn(defaults, name) || value === undefined) return { wrong: word };
    options[name] = value;
  }
  return { options };
}

export function list(text) {
  return text.split(",").filter((word) => word !== "");
}

export function median(numbers) {
  const sorted = numbers.filter((n) => n !== undefined).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** 300k, 1m, 20m: a number of records as it appears in names. */
export function shortCount(count) {
  if (count % 1_000_000 === 0) return `${count / 1_000_000}m`;
  return count % 1000 === 0 ? `${count / 1000}k` : String(count);
}

/** Writes benches/results/KIND-DATE-LABEL.json and says so. */
export function saveResult(kind, label, content) {
  const date = new Date().toISOString().slice(0, 10);
  const path = `${RESULTS}/${kind}-${date}-${label}.json`;
  mkdirSync(join(ROOT, RESULTS), { recursive: true });
  const result = { kind, date, machine: machine(), ...content };
  writeFileSync(join(ROOT, path), `${JSON.stringify(result, roundNumber, 2)}\n`);
  console.log(`\n${path}`);
}

function roundNumber(_key, value) {
  if (typeof value !== "number" || Number.isInteger(value)) return value;
  return Number(value.toFixed(value < 10 ? 3 : 1));
}

function machine() {
  const processors = cpus();
  return {
    processor: processors[0]?.model ?? "",
    processors: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()} ${arch()}`,
    distribution: distribution(),
  };
}

function distribution() {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "";
  } catch {
    return "";
  }
}
