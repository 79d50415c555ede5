/**
 * Reading, for everything that can be read. Each method encodes its key into scratch, makes one native
 * call, and decodes what came back into that same scratch.
 *
 * @module
 */
import { ANSWER_HEAD_SIZE, FLAG, padded, QUESTION_HEAD_SIZE, RESULT, SEEK } from "../ffi/frames.ts";
import type { Handle, Result } from "../ffi/native.ts";
import { Cursor } from "./cursor.ts";
import { LsmNotFoundError } from "./errors.ts";
import { LsmIterator } from "./iterator.ts";
import { enterScratch, leaveScratch, Memory } from "./memory.ts";
import type { Scratch } from "./memory.ts";
import { checkOptions } from "./names.ts";
import { describe } from "./packed.ts";
import {
  BOUND_OPTIONS,
  boundFlags,
  compareBytes,
  isInside,
  nativeLimit,
  RANGE_OPTIONS,
  resolveRange,
  resolveSlice,
} from "./range.ts";
import type { Bounds, KeyBounds, KeyRange } from "./range.ts";
import { Scan } from "./scan.ts";
import type { Wanted } from "./scan.ts";
import { seekNumber, seekOption } from "./seek.ts";
import { quoteKey, readEntry, readValue, recordParts } from "./source.ts";
import type { Source } from "./source.ts";
import type {
  CursorOptions,
  GetOptions,
  Reader,
  ReadOptions,
  SeekMode,
  SliceOptions,
} from "./types.ts";

/** Names of the options of iterations. */
const SCAN_OPTIONS: readonly string[] = [...RANGE_OPTIONS, "signal"];
const EMPTY = new Uint8Array(0);
/** Receives a count. No code of the user's runs between the call and reading it. */
const number = new Memory(8);

/** Stands for a value that is not there. */
export const ABSENT: unique symbol = Symbol("absent");

/** Reads a value, or gives {@link ABSENT}. For this library only. */
export let valueOrAbsent: <K, V>(view: ReadingView<K, V>, key: K) => V | typeof ABSENT;

/** The reading half of databases, namespaces, transactions and snapshots. */
export abstract class ReadingView<K, V> implements Reader<K, V> {
  static {
    valueOrAbsent = (view, key) => view.#valueOr(key, ABSENT);
  }

  readonly #source: Source<K, V>;

  /** Subclasses say what is read, and how. */
  constructor(source: Source<K, V>) {
    this.#source = source;
  }

  /**
   * Reads a value.
   *
   * @param key The key to look up.
   * @param options `seek`: read the value of the nearest key in that direction instead.
   * @returns The value, or `undefined` if there is no such key.
   * @throws {LsmDecodeError} If the value is not of the codec in use.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.set("2024-03-01", "snow");
   * console.log(db.get("2024-03-01")); // snow
   * console.log(db.get("2024-03-02", { seek: "le" })); // snow
   * ```
   */
  get(key: K, options?: GetOptions): V | undefined {
    if (options !== undefined) {
      const mode = seekOption(options);
      if (mode !== "eq") return this.seek(key, mode)?.[1];
    }
    return this.#valueOr(key, undefined);
  }

  /**
   * The value of a key, or `absent`. Only this tells a codec's `undefined` from no value in one
   * look.
   */
  #valueOr<A>(key: K, absent: A): V | A {
    const source = this.#source;
    const { view } = source;
    const scratch = enterScratch();
    try {
      const keySize = source.keys.write(key, scratch.key, 0);
      const handle = view.use("get");
      const { value } = scratch;
      const size = view.connection.native.get(
        handle,
        scratch.key.bytes,
        keySize,
        value.bytes,
        value.size,
      );
      if (size >= 0) return readValue(source, "get", value, 0, size, key);
      if (size === RESULT.ABSENT) return absent;
      return this.#largeValue(size, handle, key);
    } finally {
      leaveScratch(scratch);
    }
  }

  #largeValue(result: Result, handle: Handle, key: K): V {
    const { connection } = this.#source.view;
    if (result !== RESULT.TOO_SMALL) connection.fail(result, "get", handle);
    const { memory, size } = connection.take("get", handle);
    return readValue(this.#source, "get", memory, 0, size, key);
  }

  /**
   * Reads a value that must be there.
   *
   * @throws {LsmNotFoundError} If there is no such key.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.set("name", "Ada");
   * console.log(db.getOrThrow("name").toUpperCase()); // ADA
   * ```
   */
  getOrThrow(key: K, options?: GetOptions): V {
    if (options === undefined) {
      const value = this.#valueOr(key, ABSENT);
      if (value !== ABSENT) return value;
    } else {
      const value = this.get(key, options);
      if (value !== undefined) return value;
    }
    const { path } = this.#source.view.connection;
    throw new LsmNotFoundError(`key not found: ${quoteKey(key)}`, key, { op: "getOrThrow", path });
  }

  /**
   * Reads many values in one native call, all from one state of the database.
   *
   * @param keys Keys to look up; read completely before the first is looked up.
   * @returns One value per key, in the same order; `undefined` where there is no such key.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.setMany({ a: "1", b: "2" });
   * console.log(db.getMany(["b", "x", "a"])); // [ "2", undefined, "1" ]
   * ```
   */
  getMany(keys: Iterable<K>, options?: GetOptions): (V | undefined)[] {
    const mode = options === undefined ? "eq" : seekOption(options);
    if (mode !== "eq") return this.#nearMany([...keys], mode);
    const list: K[] = [];
    const source = this.#source;
    return this.#ask("getMany", keys, 0, list, (memory, at, size, index) => {
      const start = at + ANSWER_HEAD_SIZE;
      return readValue(source, "getMany", memory, start, start + size, list[index]);
    });
  }

  /** Values of nearest keys, all from one state. */
  #nearMany(keys: readonly K[], mode: SeekMode): (V | undefined)[] {
    const { view } = this.#source;
    const { connection } = view;
    if (view.isFrozen || connection.level !== undefined) {
      return keys.map((key) => this.seek(key, mode)?.[1]);
    }
    const parent = view.use("getMany");
    const snapshot = connection.native.snapshot(parent);
    if (snapshot === 0) throw connection.failedToMake("getMany", parent);
    try {
      return keys.map((key) => this.#seekIn(snapshot, key, mode, "getMany")?.[1]);
    } finally {
      connection.native.end(snapshot);
    }
  }

  /**
   * Is there such a key? Does not read its value.
   *
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * console.log(db.has("no such key")); // false
   * ```
   */
  has(key: K): boolean {
    const { view, keys } = this.#source;
    const scratch = enterScratch();
    try {
      const size = keys.write(key, scratch.key, 0);
      const handle = view.use("has");
      const result = view.connection.native.has(handle, scratch.key.bytes, size);
      return view.connection.check(result, "has", handle) === 1;
    } finally {
      leaveScratch(scratch);
    }
  }

  /**
   * Are there such keys? One native call, one state of the database.
   *
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.set("a", "1");
   * console.log(db.hasMany(["a", "x"])); // [ true, false ]
   * ```
   */
  hasMany(keys: Iterable<K>): boolean[] {
    return this.#ask("hasMany", keys, FLAG.KEYS_ONLY, undefined, () => true)
      .map((answer) => answer === true);
  }

  /** Packs the keys, asks for all of them at once, and reads the answers. */
  #ask<T>(
    op: string,
    keys: Iterable<K>,
    flags: number,
    list: K[] | undefined,
    read: (memory: Memory, at: number, size: number, index: number) => T,
  ): (T | undefined)[] {
    const { view, keys: codec } = this.#source;
    const { connection } = view;
    const scratch = enterScratch();
    try {
      const questions = scratch.key;
      let count = 0;
      let at = 0;
      for (const key of keys) {
        questions.reserve(at, QUESTION_HEAD_SIZE);
        const size = codec.write(key, questions, at + QUESTION_HEAD_SIZE);
        questions.words[at >> 2] = size;
        at = padded(at + QUESTION_HEAD_SIZE + size);
        list?.push(key);
        count++;
      }
      questions.reserve(at, 0);
      const handle = view.use(op);
      let answers = scratch.value;
      const result = connection.native.getMany(
        handle,
        flags,
        count,
        questions.bytes,
        at,
        answers.bytes,
        answers.size,
      );
      if (result === RESULT.TOO_SMALL) answers = connection.take(op, handle).memory;
      else connection.check(result, op, handle);
      return readAnswers(answers, count, read);
    } finally {
      leaveScratch(scratch);
    }
  }

  /**
   * Finds the entry at or nearest to a key.
   *
   * @param key The key to search for; need not exist.
   * @param mode Which entry to settle on if it does not: see {@link SeekMode}.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.setMany({ k1: "one", k2: "two" });
   * console.log(db.seek("k1x", "le"), db.seek("k1x", "ge")); // [ "k1", "one" ] [ "k2", "two" ]
   * ```
   */
  seek(key: K, mode: SeekMode): [K, V] | undefined {
    return this.#seekIn(undefined, key, mode, "seek");
  }

  #seekIn(snapshot: Handle | undefined, key: K, mode: SeekMode, op: string): [K, V] | undefined {
    const number = seekNumber(mode);
    const source = this.#source;
    const scratch = enterScratch();
    try {
      const size = source.keys.write(key, scratch.key, 0);
      const handle = snapshot ?? source.view.use(op);
      const record = this.#nearest(scratch, size, handle, number, op);
      return record === undefined ? undefined : this.#entryInNamespace(op, record);
    } finally {
      leaveScratch(scratch);
    }
  }

  /** The record nearest to the key in the scratch; it stands in the result's first bytes. */
  #nearest(
    { key, value }: Scratch,
    keySize: number,
    handle: Handle,
    mode: number,
    op: string,
  ): Memory | undefined {
    const { connection } = this.#source.view;
    const result = connection.native.seek(
      handle,
      mode,
      key.bytes,
      keySize,
      value.bytes,
      value.size,
    );
    if (result >= 0) return value;
    if (result === RESULT.ABSENT) return undefined;
    if (result === RESULT.TOO_SMALL) return connection.take(op, handle).memory;
    return connection.fail(result, op, handle);
  }

  /** The entry of a record, unless it lies outside the namespace. */
  #entryInNamespace(op: string, record: Memory): [K, V] | undefined {
    const { base, end } = this.#source.keys;
    if (base !== undefined) {
      const [start, middle] = recordParts(record, 0);
      if (!isInside(record.bytes.subarray(start, middle), base, end)) return undefined;
    }
    return readEntry(this.#source, op, record);
  }

  /**
   * The entry with the lowest key, of all or within bounds.
   *
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.setMany({ a: "1", b: "2" });
   * console.log(db.first({ gt: "a" })); // [ "b", "2" ]
   * ```
   */
  first(bounds?: KeyBounds<K>): [K, V] | undefined {
    return this.#end(resolveRange(bounds, this.#source.keys, BOUND_OPTIONS), false);
  }

  /**
   * The entry with the highest key, of all or within bounds.
   *
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.setMany({ a: "1", b: "2" });
   * console.log(db.last({ lt: "b" })); // [ "a", "1" ]
   * ```
   */
  last(bounds?: KeyBounds<K>): [K, V] | undefined {
    return this.#end(resolveRange(bounds, this.#source.keys, BOUND_OPTIONS), true);
  }

  /** The lowest or the highest entry of a range. */
  #end(bounds: Bounds, isLast: boolean): [K, V] | undefined {
    const from = isLast ? bounds.upper : (bounds.lower ?? EMPTY);
    const inclusive = isLast ? bounds.upperInclusive : bounds.lowerInclusive || !bounds.lower;
    const { view } = this.#source;
    const op = isLast ? "last" : "first";
    const handle = view.use(op);
    if (bounds.empty) return undefined;
    if (from === undefined) {
      const scan = this.#iterate<[K, V]>({ ...bounds, reverse: true, limit: 1 }, "entries");
      const { value } = scan.next();
      scan.return();
      return value;
    }
    const modes = isLast ? [SEEK.LT, SEEK.LE] as const : [SEEK.GT, SEEK.GE] as const;
    const scratch = enterScratch();
    try {
      const size = scratch.key.put(from);
      const mode = modes[inclusive ? 1 : 0];
      const record = this.#nearest(scratch, size, handle, mode, op);
      if (record === undefined || !isWithin(record, bounds)) return undefined;
      return readEntry(this.#source, op, record);
    } finally {
      leaveScratch(scratch);
    }
  }

  /**
   * Iterates over entries in key order.
   *
   * @param range Which keys, in which order, and how many; default all. `signal` ends a `for await`.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.setMany({ "user:1": "Ada", "user:2": "Grace" });
   * for (const [key, value] of db.entries({ prefix: "user:", reverse: true })) {
   *   console.log(key, value); // user:2 Grace, then user:1 Ada
   * }
   * ```
   */
  entries(range?: KeyRange<K> & ReadOptions): LsmIterator<[K, V]> {
    return this.#scan<[K, V]>(range, "entries");
  }

  /**
   * Iterates over keys in order; values are not read.
   *
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.setMany({ a: "1", b: "2", c: "3" });
   * console.log(db.keys({ gt: "a", lte: "c" }).toArray()); // [ "b", "c" ]
   * ```
   */
  keys(range?: KeyRange<K> & ReadOptions): LsmIterator<K> {
    return this.#scan<K>(range, "keys");
  }

  /**
   * Iterates over values in the order of their keys.
   *
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.setMany({ a: "1", b: "2" });
   * console.log(db.values({ limit: 1 }).toArray()); // [ "1" ]
   * ```
   */
  values(range?: KeyRange<K> & ReadOptions): LsmIterator<V> {
    return this.#scan<V>(range, "values");
  }

  #scan<T>(range: (KeyRange<K> & ReadOptions) | undefined, wanted: Wanted): LsmIterator<T> {
    const bounds = resolveRange(range, this.#source.keys, SCAN_OPTIONS);
    const signal = range?.signal;
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw new TypeError(`Option signal must be an AbortSignal, not ${describe(signal)}`);
    }
    signal?.throwIfAborted();
    return this.#iterate<T>(bounds, wanted, signal);
  }

  #iterate<T>(bounds: Bounds, wanted: Wanted, signal?: AbortSignal): LsmIterator<T> {
    return new LsmIterator<T>(new Scan<K, V, T>(this.#source, bounds, wanted), signal);
  }

  /**
   * Iterates between two keys, as a Python slice does: both are included, both may be left out, neither
   * need exist. A start above the end walks downwards; `reverse` visits the same set from the top.
   *
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.setMany({ a: "1", b: "2", c: "3" });
   * console.log([...db.range("c", "b")]); // [ [ "c", "3" ], [ "b", "2" ] ]
   * ```
   */
  range(
    start?: K | undefined,
    end?: K | undefined,
    options: SliceOptions = {},
  ): LsmIterator<[K, V]> {
    const reverse = reverseOption(options);
    return this.#iterate(resolveSlice(start, end, reverse, this.#source.keys), "entries");
  }

  /**
   * Calls a function for each entry, with its arguments in the order of `Map`.
   *
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.forEach((value, key) => console.log(key, value), { limit: 10 });
   * ```
   */
  forEach(fn: (value: V, key: K, source: this) => void, range?: KeyRange<K>): void {
    for (const [key, value] of this.entries(range)) fn(value, key, this);
  }

  /**
   * Counts keys. Walks over all of them, in one native call.
   *
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * console.log(db.count({ prefix: "no such prefix" })); // 0
   * ```
   */
  count(range?: KeyRange<K>): number {
    const { view, keys } = this.#source;
    const bounds = resolveRange(range, keys);
    const handle = view.use("count");
    if (bounds.empty) return 0;
    const { connection } = view;
    const scratch = enterScratch();
    try {
      const { key, value } = scratch;
      const lowerSize = key.put(bounds.lower);
      const upperSize = value.put(bounds.upper);
      const result = connection.native.count(
        handle,
        boundFlags(bounds),
        nativeLimit(bounds.limit),
        key.bytes,
        lowerSize,
        value.bytes,
        upperSize,
        number.bytes,
        number.size,
      );
      connection.check(result, "count", handle);
      const [low = 0, high = 0] = number.words;
      return Math.min(high * 2 ** 32 + low, bounds.limit);
    } finally {
      leaveScratch(scratch);
    }
  }

  /**
   * Opens a cursor: a position that moves in both directions.
   *
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.setMany({ a: "1", b: "2" });
   * using cursor = db.cursor();
   * cursor.seek("b");
   * cursor.prev();
   * console.log(cursor.key); // a
   * ```
   */
  cursor(options: CursorOptions = {}): Cursor<K, V> {
    return new Cursor(this.#source, reverseOption(options));
  }

  /** Iterates over all entries: the same as `entries()`. */
  [Symbol.iterator](): LsmIterator<[K, V]> {
    return this.entries();
  }

  /** Iterates over all entries with `for await`, which lets other work in between blocks. */
  [Symbol.asyncIterator](): AsyncIterableIterator<[K, V], undefined, unknown> {
    return this.entries()[Symbol.asyncIterator]();
  }
}

/** The option `reverse`, checked. */
function reverseOption(options: SliceOptions | CursorOptions): boolean {
  checkOptions(options, ["reverse"], "options such as { reverse: true }");
  const { reverse = false } = options;
  if (typeof reverse === "boolean") return reverse;
  throw new TypeError(`Option reverse must be a boolean, not ${describe(reverse)}`);
}

function readAnswers<T>(
  memory: Memory,
  count: number,
  read: (memory: Memory, at: number, size: number, index: number) => T,
): (T | undefined)[] {
  const answers: (T | undefined)[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    const isPresent = memory.words[at >> 2] === 1;
    const size = memory.words[(at >> 2) + 1] as number;
    answers.push(isPresent ? read(memory, at, size, index) : undefined);
    at = padded(at + ANSWER_HEAD_SIZE + size);
  }
  return answers;
}

/** Is the key of the record at 0 inside the range? */
function isWithin(
  record: Memory,
  { lower, upper, lowerInclusive, upperInclusive }: Bounds,
): boolean {
  const [start, middle] = recordParts(record, 0);
  const key = record.bytes.subarray(start, middle);
  const low = lower === undefined ? 1 : compareBytes(key, lower);
  const high = upper === undefined ? -1 : compareBytes(key, upper);
  return (low > 0 || (low === 0 && lowerInclusive)) && (high < 0 || (high === 0 && upperInclusive));
}
