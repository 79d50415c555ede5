/**
 * Ranges: from what the caller writes to two encoded bounds. Pure.
 *
 * @module
 */
import { FLAG, NO_LIMIT } from "../ffi/frames.ts";
import { enterScratch, leaveScratch } from "./memory.ts";
import { checkOptions } from "./names.ts";
import { describe, located } from "./packed.ts";
import type { PackedKey } from "./packed.ts";

/**
 * A set of keys. All bounds are optional; they need not exist, and are compared as encoded bytes. A lower
 * bound above the upper one makes an empty set.
 *
 * @example
 * ```ts
 * import { type KeyBounds, Lsm } from "@lsmdb/lsm";
 * using db = new Lsm("example.ldb");
 * const users: KeyBounds<string> = { prefix: "user:" };
 * console.log(db.first(users), db.last(users));
 * ```
 */
export interface KeyBounds<K, Prefix = K> {
  /** Only keys greater than this. */
  gt?: K | undefined;
  /** Only keys greater than or equal to this; wins over `gt`. */
  gte?: K | undefined;
  /** Only keys less than this. */
  lt?: K | undefined;
  /** Only keys less than or equal to this; wins over `lt`. */
  lte?: K | undefined;
  /** Only keys that start with this, and lie within the bounds. */
  prefix?: Prefix | undefined;
}

/**
 * A set of keys and the order to visit it in.
 *
 * @example
 * ```ts
 * import { type KeyRange, Lsm } from "@lsmdb/lsm";
 * using db = new Lsm("example.ldb");
 * db.setMany({ "user:1": "Ada", "user:2": "Grace", "visit:1": "Ada" });
 * const newest: KeyRange<string> = { prefix: "user:", reverse: true, limit: 1 };
 * console.log([...db.keys(newest)]); // [ "user:2" ]
 * ```
 */
export interface KeyRange<K, Prefix = K> extends KeyBounds<K, Prefix> {
  /** Descending order. Changes the order, never the set (but see `limit`). Default false. */
  reverse?: boolean | undefined;
  /** At most this many, with `reverse` the highest. Default: all. */
  limit?: number | undefined;
}

/** A range the engine understands. */
export interface Bounds {
  readonly lower: Uint8Array | undefined;
  readonly lowerInclusive: boolean;
  readonly upper: Uint8Array | undefined;
  readonly upperInclusive: boolean;
  readonly reverse: boolean;
  /** `Infinity`: none. */
  readonly limit: number;
  /** No key can be in it. */
  readonly empty: boolean;
}

/** Names of the options of {@link KeyBounds}. */
export const BOUND_OPTIONS: readonly string[] = ["gt", "gte", "lt", "lte", "prefix"];
/** Names of the options of {@link KeyRange}. */
export const RANGE_OPTIONS: readonly string[] = [...BOUND_OPTIONS, "reverse", "limit"];

/** Checks a range, encodes its bounds and makes them as tight as the prefix allows. */
export function resolveRange<K>(
  range: KeyRange<K> | undefined,
  keys: PackedKey<K>,
  options: readonly string[] = RANGE_OPTIONS,
): Bounds {
  if (range === undefined) return within({}, keys.base, keys.end, false, Infinity);
  checkOptions(range, options, "a range such as { gte, lt, prefix }");
  const { gt, gte, lt, lte, prefix, reverse = false, limit = Infinity } = range;
  if (typeof reverse !== "boolean") {
    throw new TypeError(`Option reverse must be a boolean, got ${describe(reverse)}`);
  }
  checkLimit(limit);
  const ends: Ends = {};
  if (gte !== undefined) ends.lower = { bytes: boundKey(keys, gte, "gte"), inclusive: true };
  else if (gt !== undefined) ends.lower = { bytes: boundKey(keys, gt, "gt"), inclusive: false };
  if (lte !== undefined) ends.upper = { bytes: boundKey(keys, lte, "lte"), inclusive: true };
  else if (lt !== undefined) ends.upper = { bytes: boundKey(keys, lt, "lt"), inclusive: false };
  const start = prefix === undefined ? keys.base : encodePrefix(keys, prefix);
  return within(ends, start, prefixEnd(keys, start), reverse, limit);
}

/**
 * The Python slice: both ends inclusive and optional. A start above the end means descending order;
 * otherwise `reverse` decides. Either way the set is that between the two.
 */
export function resolveSlice<K>(
  start: K | undefined,
  end: K | undefined,
  reverse: boolean,
  keys: PackedKey<K>,
): Bounds {
  const ends: Ends = {};
  let descending = reverse;
  if (start !== undefined) ends.lower = { bytes: encodeKey(keys, start), inclusive: true };
  if (end !== undefined) ends.upper = { bytes: encodeKey(keys, end), inclusive: true };
  const { lower, upper } = ends;
  if (lower !== undefined && upper !== undefined && compareBytes(lower.bytes, upper.bytes) > 0) {
    ends.lower = upper;
    ends.upper = lower;
    descending = true;
  }
  return within(ends, keys.base, keys.end, descending, Infinity);
}

/** The same range, of which everything up to `key` has been visited. */
export function after(bounds: Bounds, key: Uint8Array, limit: number): Bounds {
  const ends: Ends = {};
  const { lower, upper, lowerInclusive, upperInclusive, reverse } = bounds;
  if (lower !== undefined) ends.lower = { bytes: lower, inclusive: lowerInclusive };
  if (upper !== undefined) ends.upper = { bytes: upper, inclusive: upperInclusive };
  ends[reverse ? "upper" : "lower"] = { bytes: key, inclusive: false };
  return within(ends, undefined, undefined, reverse, limit);
}

/** The bits of `lsm_bulk.h` for the bounds of a range; its order is not among them. */
export function boundFlags(bounds: Bounds): number {
  let flags = 0;
  if (bounds.lower !== undefined) flags |= FLAG.HAS_LOWER;
  if (bounds.lower !== undefined && bounds.lowerInclusive) flags |= FLAG.LOWER_INCLUSIVE;
  if (bounds.upper !== undefined) flags |= FLAG.HAS_UPPER;
  if (bounds.upper !== undefined && bounds.upperInclusive) flags |= FLAG.UPPER_INCLUSIVE;
  return flags;
}

/** The limit as the engine takes it. Four thousand million entries are as good as none. */
export function nativeLimit(limit: number): number {
  return Math.min(limit, NO_LIMIT);
}

/** Orders as the engine does: by unsigned bytes, a shorter key before its extensions. */
export function compareBytes(left: Uint8Array, right: Uint8Array): -1 | 0 | 1 {
  const size = Math.min(left.length, right.length);
  for (let i = 0; i < size; i++) {
    const difference = (left[i] as number) - (right[i] as number);
    if (difference !== 0) return difference < 0 ? -1 : 1;
  }
  if (left.length === right.length) return 0;
  return left.length < right.length ? -1 : 1;
}

/**
 * The smallest key above all that start with `prefix`: its last byte that is not FF, plus one, and
 * nothing behind it. Undefined if there is none: for the empty prefix, and for one of FF only.
 */
export function prefixSuccessor(prefix: Uint8Array): Uint8Array | undefined {
  let size = prefix.length;
  while (size > 0 && prefix[size - 1] === 0xff) size--;
  if (size === 0) return undefined;
  const successor = prefix.slice(0, size);
  successor[size - 1] = (successor[size - 1] as number) + 1;
  return successor;
}

/**
 * The least key above all that are inside a prefix of these bytes; undefined if there is none.
 * Where FF is reserved that is the prefix and FF: the tuple ["a\0b"], 02 61 00 FF 62 00, is not
 * inside ["a"], 02 61 00.
 */
export function prefixEnd<K>(
  keys: PackedKey<K>,
  prefix: Uint8Array | undefined,
): Uint8Array | undefined {
  if (prefix === undefined) return undefined;
  if (prefix.length === (keys.base?.length ?? 0)) return keys.end;
  if (keys.reservesFF !== true) return prefixSuccessor(prefix);
  const end = new Uint8Array(prefix.length + 1).fill(0xff);
  end.set(prefix);
  return end;
}

/** Does a key start with `prefix`, and lie below the prefix's end? */
export function isInside(
  key: Uint8Array,
  prefix: Uint8Array,
  end: Uint8Array | undefined,
): boolean {
  const startsWithIt = key.length >= prefix.length &&
    compareBytes(key.subarray(0, prefix.length), prefix) === 0;
  return startsWithIt && (end === undefined || compareBytes(key, end) < 0);
}

function boundKey<K>(keys: PackedKey<K>, key: K, option: string): Uint8Array {
  try {
    return encodeKey(keys, key);
  } catch (error) {
    throw located(`Option ${option}`, error);
  }
}

/** The bytes of one key, on their own. */
export function encodeKey<K>(keys: PackedKey<K>, key: K): Uint8Array {
  const scratch = enterScratch();
  try {
    return scratch.key.copy(0, keys.write(key, scratch.key, 0));
  } finally {
    leaveScratch(scratch);
  }
}

/**
 * The bytes with which every key inside `prefix` starts; see {@link prefixEnd} for where they end.
 */
export function encodePrefix<K>(keys: PackedKey<K>, prefix: K): Uint8Array {
  const scratch = enterScratch();
  try {
    return scratch.key.copy(0, keys.writePrefix(prefix, scratch.key, 0));
  } catch (error) {
    throw located("Prefix", error);
  } finally {
    leaveScratch(scratch);
  }
}

interface End {
  readonly bytes: Uint8Array;
  readonly inclusive: boolean;
}

interface Ends {
  lower?: End;
  upper?: End;
}

function checkLimit(limit: number): void {
  if (typeof limit !== "number") {
    throw new TypeError(`Option limit must be a number, got ${describe(limit)}`);
  }
  if (limit !== Infinity && !(Number.isSafeInteger(limit) && limit >= 0)) {
    throw new RangeError(`Option limit must be a whole number from 0 on, got ${limit}`);
  }
}

/** Cuts the ends to the keys from `prefix` on and below `end`. */
function within(
  ends: Ends,
  prefix: Uint8Array | undefined,
  end: Uint8Array | undefined,
  reverse: boolean,
  limit: number,
): Bounds {
  let { lower, upper } = ends;
  if (prefix !== undefined && prefix.length > 0) {
    if (lower === undefined || compareBytes(lower.bytes, prefix) < 0) {
      lower = { bytes: prefix, inclusive: true };
    }
    if (end !== undefined && (upper === undefined || compareBytes(upper.bytes, end) >= 0)) {
      upper = { bytes: end, inclusive: false };
    }
  }
  return {
    lower: lower?.bytes,
    lowerInclusive: lower?.inclusive ?? false,
    upper: upper?.bytes,
    upperInclusive: upper?.inclusive ?? false,
    reverse,
    limit,
    empty: limit === 0 || isEmpty(lower, upper),
  };
}

function isEmpty(lower: End | undefined, upper: End | undefined): boolean {
  if (upper === undefined) return false;
  if (upper.bytes.length === 0 && !upper.inclusive) return true; // nothing is below the empty key
  if (lower === undefined) return false;
  const order = compareBytes(lower.bytes, upper.bytes);
  return order > 0 || (order === 0 && !(lower.inclusive && upper.inclusive));
}
