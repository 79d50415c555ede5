/**
 * Packing operations into one piece of memory, for one native call. Pure.
 *
 * Layout of an operation: u32 kind, u32 size 1, u32 size 2, bytes 1, bytes 2, padding to 4.
 *
 * @module
 */
import { OP, OP_HEAD_SIZE, padded } from "../ffi/frames.ts";
import type { Memory } from "./memory.ts";
import { checkOptions } from "./names.ts";
import { describe, located, wrongArgument } from "./packed.ts";
import type { Packed, PackedKey } from "./packed.ts";
import { BOUND_OPTIONS, boundFlags, encodePrefix, RANGE_OPTIONS, resolveRange } from "./range.ts";
import type { Bounds, KeyRange } from "./range.ts";
import { quoteKey } from "./source.ts";
import type { BatchOp, Entries } from "./types.ts";

/** Operations, one behind the other. */
export class Batch<K, V> {
  readonly #memory: Memory;
  readonly #keys: PackedKey<K>;
  readonly #values: Packed<V>;
  #count = 0;
  #size = 0;

  /** Writes from the beginning of `memory` on. */
  constructor(memory: Memory, keys: PackedKey<K>, values: Packed<V>) {
    this.#memory = memory;
    this.#keys = keys;
    this.#values = values;
  }

  /** Operations so far. */
  get count(): number {
    return this.#count;
  }

  /** Bytes so far. */
  get size(): number {
    return this.#size;
  }

  set(key: K, value: V): void {
    const memory = this.#memory;
    const start = this.#size + OP_HEAD_SIZE;
    const keySize = this.#keys.write(key, memory, start);
    const valueSize = this.#values.write(value, memory, start + keySize);
    this.#finish(OP.PUT, keySize, valueSize);
  }

  delete(key: K): void {
    this.#finish(OP.REMOVE, this.#keys.write(key, this.#memory, this.#size + OP_HEAD_SIZE), 0);
  }

  /** Deletes keys that are encoded already. */
  deleteBytes(bytes: Uint8Array): void {
    this.#finish(OP.REMOVE, this.#put(bytes, this.#size + OP_HEAD_SIZE), 0);
  }

  deleteRange(bounds: Bounds): void {
    if (bounds.empty) return;
    const start = this.#size + OP_HEAD_SIZE;
    const lowerSize = this.#put(bounds.lower, start);
    const upperSize = this.#put(bounds.upper, start + lowerSize);
    this.#finish(OP.REMOVE_RANGE | boundFlags(bounds), lowerSize, upperSize);
  }

  #put(bytes: Uint8Array | undefined, at: number): number {
    if (bytes === undefined) return 0;
    this.#memory.reserve(at, bytes.length);
    this.#memory.bytes.set(bytes, at);
    return bytes.length;
  }

  /** Writes the head of the operation whose bytes have been written, and counts it. */
  #finish(kind: number, firstSize: number, secondSize: number): void {
    const memory = this.#memory;
    const end = padded(this.#size + OP_HEAD_SIZE + firstSize + secondSize);
    memory.reserve(this.#size + OP_HEAD_SIZE + firstSize + secondSize, 3);
    const head = this.#size >> 2;
    memory.words[head] = kind;
    memory.words[head + 1] = firstSize;
    memory.words[head + 2] = secondSize;
    this.#size = end;
    this.#count++;
  }
}

/** Packs the argument of `setMany`. All code of the user's has run when it returns. */
export function packEntries<K, V>(batch: Batch<K, V>, entries: Entries<K, V>): void {
  if (typeof entries !== "object" || entries === null) {
    throw new TypeError(`Expected pairs or an object, got ${describe(entries)}`);
  }
  if (!(Symbol.iterator in entries)) {
    // The type allows a plain object only where keys are text. These would be one without
    // properties.
    if (Symbol.asyncIterator in entries || isPromise(entries)) {
      throw new TypeError(
        `Expected pairs or an object, got ${describe(entries)}, which takes time: ` +
          "await it, or Array.fromAsync(it), and pass the result",
      );
    }
    for (const [key, value] of Object.entries(entries as Record<string, V>)) {
      try {
        batch.set(key as K, value);
      } catch (error) {
        throw located(`Entry ${quoteKey(key)}`, error);
      }
    }
    return;
  }
  let index = 0;
  for (const pair of entries) {
    checkPair(pair, index);
    try {
      batch.set(pair[0], pair[1]);
    } catch (error) {
      throw located(`Entry ${index}`, error);
    }
    index++;
  }
}

function checkPair(pair: unknown, index: number): void {
  if (typeof pair !== "object" || pair === null) {
    throw new TypeError(`Entry ${index}: expected a pair of key and value, got ${describe(pair)}`);
  }
  if (!Array.isArray(pair) || pair.length >= 2) return;
  const missing = pair.length === 0 ? "key and value are" : `the value of ${quoteKey(pair[0])} is`;
  throw new TypeError(`Entry ${index}: expected a pair of key and value, but ${missing} missing`);
}

function isPromise(value: object): boolean {
  return "then" in value && typeof value.then === "function";
}

/** Packs the argument of `batch`. All code of the user's has run when it returns. */
export function packOps<K, V>(
  batch: Batch<K, V>,
  ops: Iterable<BatchOp<K, V>>,
  keys: PackedKey<K>,
): void {
  if (typeof ops !== "object" || ops === null || !(Symbol.iterator in ops)) {
    throw new TypeError(`Expected an array of operations, got ${describe(ops)}`);
  }
  let index = 0;
  for (const op of ops) {
    try {
      packOp(batch, op, keys);
    } catch (error) {
      throw located(`Operation ${index}`, error);
    }
    index++;
  }
}

function packOp<K, V>(batch: Batch<K, V>, op: BatchOp<K, V>, keys: PackedKey<K>): void {
  if (typeof op !== "object" || op === null) {
    const example = '{ type: "set", key, value }';
    throw wrongArgument(`Expected an operation such as ${example}, got ${describe(op)}`);
  }
  switch (op.type) {
    case "set":
      batch.set(op.key, op.value);
      break;
    case "delete":
      batch.delete(op.key);
      break;
    case "deleteRange":
      batch.deleteRange(boundsToDelete(op.range, keys, BOUND_OPTIONS));
      break;
    default: {
      const { type } = op as { type: unknown };
      const names = '"set", "delete" or "deleteRange"';
      const given = typeof type === "string" ? JSON.stringify(type) : describe(type);
      throw wrongArgument(`The type of an operation is ${names}, not ${given}`);
    }
  }
}

/**
 * Resolves a range to delete. A variable that is undefined or empty must not empty a database, so
 * what counts is an upper bound, a lower one or a prefix that has bytes, and a limit that is one. A
 * prefix without bytes is refused even beside them: { prefix: user, lt: "zzz" } would delete what
 * is not that user's.
 */
export function boundsToDelete<K>(
  range: KeyRange<K>,
  keys: PackedKey<K>,
  options: readonly string[] = RANGE_OPTIONS,
): Bounds {
  checkOptions(range, options, "a range such as { gte, lt, prefix }");
  const bounds = resolveRange(range, keys, options);
  const { lt, lte, prefix } = range;
  const baseSize = keys.base?.length ?? 0;
  if (prefix !== undefined && encodePrefix(keys, prefix).length <= baseSize) {
    throw wrongArgument("The prefix of a range to delete must not be empty; leave it out");
  }
  const hasLower = (bounds.lower?.length ?? 0) > baseSize;
  if (hasLower || lt !== undefined || lte !== undefined || bounds.limit !== Infinity) return bounds;
  const orLimit = options.includes("limit") ? "a finite limit, " : "";
  throw wrongArgument(
    `A range to delete needs an upper bound, ${orLimit}or a prefix or lower bound ` +
      "that is not empty; to delete everything call clear",
  );
}
