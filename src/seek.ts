/**
 * Modes of searching: their names, and the engine's numbers. Pure.
 *
 * @module
 */
import { SEEK } from "../ffi/frames.ts";
import { checkOptions } from "./names.ts";
import { describe } from "./packed.ts";
import type { GetOptions, SeekMode } from "./types.ts";

const NUMBERS: Readonly<Record<SeekMode, number>> = {
  eq: SEEK.EQ,
  le: SEEK.LE,
  ge: SEEK.GE,
  lt: SEEK.LT,
  gt: SEEK.GT,
};

/** The engine's number for a mode. Throws `RangeError` for what is none. */
export function seekNumber(mode: SeekMode): number {
  if (Object.hasOwn(NUMBERS, mode)) return NUMBERS[mode];
  const given = typeof mode === "string" ? JSON.stringify(mode) : describe(mode);
  throw new RangeError(`A search is "eq", "le", "ge", "lt" or "gt", not ${given}`);
}

/** The option `seek`, checked. */
export function seekOption(options: GetOptions): SeekMode {
  checkOptions(options, ["seek"], 'options such as { seek: "le" }');
  const { seek = "eq" } = options;
  seekNumber(seek);
  return seek;
}

/**
 * Python's names of the search modes, for porters.
 *
 * @example
 * ```ts
 * import { Lsm, Seek } from "@lsmdb/lsm";
 * using db = new Lsm("example.ldb");
 * db.set("k1", "one");
 * console.log(db.get("k1x", { seek: Seek.LE })); // one
 * ```
 */
export const Seek: {
  readonly LE: "le";
  readonly EQ: "eq";
  readonly GE: "ge";
  readonly LEFAST: "lefast";
} = Object.freeze({ LE: "le", EQ: "eq", GE: "ge", LEFAST: "lefast" });

/**
 * Python's names of the safety levels, for porters.
 *
 * @example
 * ```ts
 * import { Lsm, Safety } from "@lsmdb/lsm";
 * using db = new Lsm("example.ldb", { safety: Safety.FULL });
 * ```
 */
export const Safety: {
  readonly OFF: "off";
  readonly NORMAL: "normal";
  readonly FULL: "full";
} = Object.freeze({ OFF: "off", NORMAL: "normal", FULL: "full" });
