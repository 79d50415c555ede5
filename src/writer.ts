/**
 * Writing, for everything that can be written to. Arguments are encoded completely before the first native
 * call that takes the writer's lock; what consists of several calls is a transaction.
 *
 * @module
 */
import { FLAG, RESULT } from "../ffi/frames.ts";
import { finishWith } from "./atomic.ts";
import { Batch, boundsToDelete, packEntries, packOps } from "./batch.ts";
import { bytes } from "./codecs.ts";
import { TransactionView } from "./connection.ts";
import { LsmIterator } from "./iterator.ts";
import { enterScratch, leaveScratch, Memory } from "./memory.ts";
import type { Scratch } from "./memory.ts";
import { describe, packedKey } from "./packed.ts";
import { compareBytes, resolveRange } from "./range.ts";
import type { Bounds, KeyRange } from "./range.ts";
import { ABSENT, ReadingView, valueOrAbsent } from "./reader.ts";
import { Scan } from "./scan.ts";
import type { Source } from "./source.ts";
import type { BatchOp, Entries, Writer } from "./types.ts";

/** Receives a counter. No code of the user's runs between the call and reading it. */
const counter = new Memory(8);
/** Size of a value that is not there. */
const NO_SIZE = -1;
const raw = packedKey(bytes);

/** What an object writes to, and how; undefined for one that is not of this library. For this library only. */
export let sourceOf: <K, V>(target: WritingView<K, V>) => Source<K, V> | undefined;

/** The writing half of databases, namespaces and transactions. */
export abstract class WritingView<K, V> extends ReadingView<K, V> implements Writer<K, V> {
  static {
    sourceOf = (target) => #source in target ? target.#source : undefined;
  }

  readonly #source: Source<K, V>;

  /** Subclasses say what is written to, and how. */
  constructor(source: Source<K, V>) {
    super(source);
    this.#source = source;
  }

  /**
   * Stores a value, replacing any previous one.
   *
   * @param key At most 2³¹−4 bytes when encoded, as is the value.
   * @returns This, so that calls can be chained.
   * @throws {LsmBusyError} If another connection is writing, and goes on for longer than `busyTimeout`.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.set("a", "1").set("b", "2");
   * ```
   */
  set(key: K, value: V): this {
    const { view, keys, values } = this.#source;
    const scratch = enterScratch();
    try {
      const keySize = keys.write(key, scratch.key, 0);
      const valueSize = values.write(value, scratch.value, 0);
      const handle = view.use("set");
      const { connection } = view;
      connection.changes++;
      const result = connection.native.put(
        handle,
        scratch.key.bytes,
        keySize,
        scratch.value.bytes,
        valueSize,
      );
      if (result < 0) connection.fail(result, "set", handle);
      return this;
    } finally {
      leaveScratch(scratch);
    }
  }

  /**
   * Stores many pairs: all of them, or none.
   *
   * @param entries Pairs, a `Map`, or for text keys a plain object; read completely before anything is
   *   written.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.setMany({ a: "1", b: "2" });
   * db.setMany(new Map([["c", "3"]]));
   * db.setMany(["d", "e"].map((key) => [key, "!"] as const));
   * ```
   */
  setMany(entries: Entries<K, V>): this {
    this.#apply("setMany", (batch) => packEntries(batch, entries));
    return this;
  }

  /**
   * Does many operations, in order: all of them, or none. Faster than single calls, as it neither looks at
   * old values nor commits more than once.
   *
   * @param ops Read completely before anything is written.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.batch([
   *   { type: "deleteRange", range: { prefix: "cache:" } },
   *   { type: "set", key: "cache:1", value: "one" },
   *   { type: "delete", key: "cache" },
   * ]);
   * ```
   */
  batch(ops: Iterable<BatchOp<K, V>>): void {
    this.#apply("batch", (batch) => packOps(batch, ops, this.#source.keys));
  }

  /** Packs with `pack`, then writes all of it in one call. */
  #apply(op: string, pack: (batch: Batch<K, V>) => void): void {
    const { view, keys, values } = this.#source;
    const scratch = enterScratch();
    try {
      const memory = scratch.value;
      const batch = new Batch(memory, keys, values);
      pack(batch);
      const handle = view.use(op);
      if (batch.count === 0) return;
      const { connection } = view;
      connection.changes++;
      const result = connection.native.apply(handle, batch.count, memory.bytes, batch.size);
      connection.check(result, op, handle);
    } finally {
      leaveScratch(scratch);
    }
  }

  /**
   * Removes a key.
   *
   * @returns True if it was there.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.set("a", "1");
   * console.log(db.delete("a"), db.delete("a")); // true false
   * ```
   */
  delete(key: K): boolean {
    const { view, keys } = this.#source;
    const scratch = enterScratch();
    try {
      const size = keys.write(key, scratch.key, 0);
      const handle = view.use("delete");
      const { connection } = view;
      connection.changes++;
      const result = connection.native.delete(handle, 0, scratch.key.bytes, size);
      return connection.check(result, "delete", handle) === 1;
    } finally {
      leaveScratch(scratch);
    }
  }

  /**
   * Removes all keys of a range: all of them, or none.
   *
   * @param range Needs `lt` or `lte`, a `gt`, `gte` or `prefix` that is not empty, or a finite
   *   `limit`, and takes no empty `prefix` beside them: a variable that is undefined or empty, as
   *   the only one, cannot empty the database; see {@link clear}. With a limit the keys are looked
   *   up first.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.setMany({ a: "1", b: "2", c: "3", d: "4" });
   * db.deleteRange({ gt: "a", lt: "d" });
   * console.log([...db.keys({ lte: "d" })]); // [ "a", "d" ]
   * ```
   */
  deleteRange(range: KeyRange<K>): void {
    const bounds = boundsToDelete(range, this.#source.keys);
    if (bounds.limit === Infinity) this.#deleteBounds("deleteRange", bounds);
    else this.#deleteSome(bounds);
  }

  /**
   * Removes everything. In a namespace: everything in it.
   *
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("cache.ldb");
   * db.clear();
   * console.log(db.count()); // 0
   * ```
   */
  clear(): void {
    this.#deleteBounds("clear", resolveRange(undefined, this.#source.keys));
  }

  #deleteBounds(op: string, bounds: Bounds): void {
    this.#apply(op, (batch) => batch.deleteRange(bounds));
  }

  /** Looks up the keys within the limit, and removes them one by one, in one transaction. */
  #deleteSome(bounds: Bounds): void {
    this.#atomically("deleteRange", (inner) => {
      const { view, values } = inner.#source;
      const scan = new Scan<Uint8Array, V, Uint8Array>({ view, keys: raw, values }, bounds, "keys");
      const keys = new LsmIterator(scan);
      inner.#apply("deleteRange", (batch) => keys.forEach((key) => batch.deleteBytes(key)));
    });
  }

  /** Runs `work` in a nested transaction, and undoes it if it throws. */
  #atomically<T>(op: string, work: (inner: WritingView<K, V>) => T): T {
    const { view, keys, values } = this.#source;
    view.use(op); // a transaction must be the innermost one
    const { connection } = view;
    const level = connection.begin(op);
    const inner = new Inner<K, V>({ view: new TransactionView(connection, level), keys, values });
    return finishWith(connection, level, op, () => work(inner));
  }

  /**
   * Adds to a counter: a signed 64-bit integer, 8 bytes, big-endian. A missing one starts at 0.
   * Reading and writing are one transaction. To read it, open with `{ values: i64 }`, or use a
   * view: `db.as({ values: i64 })`; as a text it makes no sense.
   *
   * @param by What to add; default 1. A `number` gives a `number`, a `bigint` gives a `bigint`.
   * @throws {LsmError} `LSM_NOTCOUNTER` if the value is not 8 bytes long.
   * @throws {RangeError} If the sum is no safe integer, or with `bigint` no 64-bit one. Nothing is written.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("counters.ldb");
   * db.delete("visits");
   * console.log(db.incr("visits"), db.incr("visits", 10)); // 1 11
   * console.log(db.incr("visits", -1n)); // 10n
   * ```
   */
  incr(key: K, by?: number): number;
  incr(key: K, by: bigint): bigint;
  incr(key: K, by: number | bigint = 1): number | bigint {
    if (typeof by === "bigint") {
      if (BigInt.asIntN(64, by) !== by) {
        throw new RangeError(`${by} is not a signed 64-bit integer`);
      }
    } else if (typeof by !== "number") {
      throw new TypeError(`Expected a number or a bigint, got ${describe(by)}`);
    } else if (!Number.isSafeInteger(by)) {
      throw new RangeError(`${by} is not a safe integer`);
    }
    const scratch = enterScratch();
    try {
      const size = this.#source.keys.write(key, scratch.key, 0);
      if (typeof by === "bigint") return this.#add(scratch.key, size, by);
      return this.#atomically("incr", (inner) => {
        const sum = Number(inner.#add(scratch.key, size, BigInt(by)));
        if (Number.isSafeInteger(sum)) return sum;
        throw new RangeError("The counter would be no safe integer; add a bigint instead");
      });
    } finally {
      leaveScratch(scratch);
    }
  }

  #add(key: Memory, keySize: number, by: bigint): bigint {
    const { view } = this.#source;
    const handle = view.use("incr");
    const { connection } = view;
    connection.changes++;
    const result = connection.native.add(
      handle,
      key.bytes,
      keySize,
      Number(BigInt.asUintN(32, by)),
      Number(BigInt.asUintN(32, by >> 32n)),
      counter.bytes,
      counter.size,
    );
    connection.check(result, "incr", handle);
    return counter.text.readBigInt64LE(0);
  }

  /**
   * Reads a value, storing the given one first if there is none.
   *
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * console.log(db.getOrInsert("colour", "green")); // green
   * ```
   */
  getOrInsert(key: K, value: V): V {
    const { values } = this.#source;
    for (;;) { // again if there is one by now
      const present = valueOrAbsent(this, key);
      if (present !== ABSENT) return present;
      const scratch = enterScratch();
      try {
        const size = values.write(value, scratch.value, 0);
        if (this.#insert("getOrInsert", key, scratch.value, () => size)) return value;
      } finally {
        leaveScratch(scratch);
      }
    }
  }

  /**
   * Reads a value, storing what a function gives first if there is none. The function runs inside the
   * transaction, only if needed.
   *
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * console.log(db.getOrInsertComputed("shout", (key) => key.toUpperCase())); // SHOUT
   * ```
   */
  getOrInsertComputed(key: K, make: (key: K) => V): V {
    if (typeof make !== "function") {
      throw new TypeError(`Expected a function, got ${describe(make)}`);
    }
    const { values } = this.#source;
    for (;;) {
      const present = valueOrAbsent(this, key);
      if (present !== ABSENT) return present;
      const scratch = enterScratch();
      try {
        let value: V | undefined;
        const write = () => values.write(value = make(key), scratch.value, 0);
        if (this.#insert("getOrInsertComputed", key, scratch.value, write)) return value as V;
      } finally {
        leaveScratch(scratch);
      }
    }
  }

  /**
   * Stores the bytes that `write` has written to `value` or writes then, unless there is such a
   * key.
   */
  #insert(op: string, key: K, value: Memory, write: () => number): boolean {
    const scratch = enterScratch();
    try {
      const keySize = this.#source.keys.write(key, scratch.key, 0);
      return this.#atomically(op, (inner) => {
        if (!inner.#isStored(op, scratch, keySize, NO_SIZE)) return false;
        inner.#store(op, scratch.key, keySize, value, write());
        return true;
      });
    } finally {
      leaveScratch(scratch);
    }
  }

  /**
   * Stores a value if the present one is as expected. Compares encoded bytes.
   *
   * @param expected The value that must be there; `undefined`: there must be none.
   * @param next The value to store; `undefined`: remove the key.
   * @returns True if it was as expected.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.set("state", "new");
   * console.log(db.compareAndSet("state", "new", "done")); // true
   * console.log(db.compareAndSet("state", "new", "failed")); // false
   * ```
   */
  compareAndSet(key: K, expected: V | undefined, next: V | undefined): boolean {
    const { keys, values } = this.#source;
    const old = enterScratch();
    const fresh = enterScratch();
    try {
      const keySize = keys.write(key, old.key, 0);
      const oldSize = expected === undefined ? NO_SIZE : values.write(expected, old.value, 0);
      const nextSize = next === undefined ? NO_SIZE : values.write(next, fresh.value, 0);
      return this.#atomically("compareAndSet", (inner) => {
        if (!inner.#isStored("compareAndSet", old, keySize, oldSize)) return false;
        inner.#store("compareAndSet", old.key, keySize, fresh.value, nextSize);
        return true;
      });
    } finally {
      leaveScratch(fresh);
      leaveScratch(old);
    }
  }

  /** Is the value of the key in `old` the value in it? */
  #isStored(op: string, old: Scratch, keySize: number, oldSize: number): boolean {
    const { connection } = this.#source.view;
    const handle = this.#source.view.use(op);
    const scratch = enterScratch();
    try {
      let { value } = scratch;
      const { native } = connection;
      const size = native.get(handle, old.key.bytes, keySize, value.bytes, value.size);
      if (size === RESULT.ABSENT) return oldSize === NO_SIZE;
      if (size === RESULT.TOO_SMALL) {
        const taken = connection.take(op, handle);
        if (taken.size !== oldSize) return false;
        value = taken.memory;
      } else if (connection.check(size, op, handle) !== oldSize) {
        return false;
      }
      const stored = value.bytes.subarray(0, oldSize);
      return compareBytes(stored, old.value.bytes.subarray(0, oldSize)) === 0;
    } finally {
      leaveScratch(scratch);
    }
  }

  /** Stores bytes, or removes the key if `valueSize` is `NO_SIZE`. */
  #store(op: string, key: Memory, keySize: number, value: Memory, valueSize: number): void {
    const handle = this.#source.view.use(op);
    const { connection } = this.#source.view;
    const { native } = connection;
    connection.changes++;
    const result = valueSize === NO_SIZE
      ? native.delete(handle, FLAG.BLIND, key.bytes, keySize)
      : native.put(handle, key.bytes, keySize, value.bytes, valueSize);
    connection.check(result, op, handle);
  }
}

/** The transaction a single call makes for itself. */
class Inner<K, V> extends WritingView<K, V> {}
