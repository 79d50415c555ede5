/**
 * Cursors: a position in the order of keys that moves both ways.
 *
 * Every movement is one native call, which copies the entry reached into the cursor's own record; so key
 * and value stay readable whatever happens to the entry.
 *
 * @module
 */
import { MOVE, RESULT, SEEK } from "../ffi/frames.ts";
import type { Handle, Result } from "../ffi/native.ts";
import type { Level } from "./connection.ts";
import { LsmClosedError, LsmMisuseError } from "./errors.ts";
import { cannot, closedError } from "./failure.ts";
import { endChild, endWhenForgotten, remembered } from "./finalizers.ts";
import { LsmIterator } from "./iterator.ts";
import type { Pull } from "./iterator.ts";
import { enterScratch, leaveScratch, Memory } from "./memory.ts";
import { compareBytes, encodeKey, encodePrefix, isInside, prefixEnd } from "./range.ts";
import { seekNumber } from "./seek.ts";
import { readEntry, readKey, readValue, recordParts } from "./source.ts";
import type { Source } from "./source.ts";
import type { SeekMode } from "./types.ts";

const RECORD_SIZE = 1 << 10;

/**
 * A position in the order of keys, made by `db.cursor()`. It starts on the first entry, or on the last if
 * `reverse`; all movements are legal after any other, and say whether they ended on an entry.
 *
 * Outside a transaction it shows the state of the database at the time it was made; inside one it is
 * live, and closed when that transaction ends. An open cursor pins disk space: close it, or declare it with
 * `using`.
 *
 * @example
 * ```ts
 * import { Lsm } from "@lsmdb/lsm";
 * using db = new Lsm("example.ldb");
 * db.setMany({ a: "1", b: "2", c: "3" });
 * using cursor = db.cursor();
 * cursor.seek("bb", "ge");
 * console.log(cursor.key); // c
 * cursor.prev();
 * console.log(cursor.entry); // [ "b", "2" ]
 * ```
 */
export class Cursor<K, V> implements Iterable<[K, V]>, Disposable {
  readonly #source: Source<K, V>;
  readonly #reverse: boolean;
  #level: Level | undefined;
  #epoch = 0;
  #handle: Handle = 0;
  /** What it was made from: with another handle, or none, it is closed. */
  #parent: Handle = 0;
  #record: Memory = new Memory(RECORD_SIZE);
  /** Before its first use it is on no entry yet: the engine is asked when that matters. */
  #state: "start" | "on" | "off" = "start";
  #isLefast = false;
  #isDecoding = false;

  /** Made by `db.cursor()`. */
  constructor(source: Source<K, V>, reverse: boolean) {
    this.#source = source;
    this.#reverse = reverse;
    this.#open();
  }

  #open(): void {
    const { view } = this.#source;
    const { connection } = view;
    const parent = view.use("cursor");
    const handle = connection.native.cursor(parent);
    if (handle === 0) throw connection.failedToMake("cursor", parent);
    this.#handle = handle;
    this.#parent = parent;
    this.#level = view.isFrozen ? undefined : connection.level;
    this.#epoch = this.#level?.epoch ?? 0;
    endWhenForgotten(this, handle, view.children);
  }

  /** Does it iterate downwards? */
  get reverse(): boolean {
    return this.#reverse;
  }

  /** False after `close`, and after the end of its transaction, snapshot or database. */
  get isOpen(): boolean {
    return this.#handle !== 0 && this.#levelIsOpen() && this.#source.view.handle === this.#parent;
  }

  /** Is it on an entry? */
  get valid(): boolean {
    this.#settle("valid");
    return this.#state === "on";
  }

  /** The key of the current entry. Throws `LsmMisuseError` if there is none. */
  get key(): K {
    return this.#decode("key", (record) => {
      const [start, middle] = recordParts(record, 0);
      return readKey(this.#source, "key", record, start, middle);
    });
  }

  /** The value of the current entry. Throws `LsmMisuseError` if there is none. */
  get value(): V {
    return this.#decode("value", (record) => {
      this.#requireValue("value");
      const [, middle, end] = recordParts(record, 0);
      return readValue(this.#source, "value", record, middle, end, undefined);
    });
  }

  /** Key and value of the current entry. Throws `LsmMisuseError` if there is none. */
  get entry(): [K, V] {
    return this.#decode("entry", (record) => {
      this.#requireValue("entry");
      return readEntry(this.#source, "entry", record);
    });
  }

  // --- Movements: true if the cursor is on an entry afterwards

  /** Moves to the entry with the lowest key. */
  first(): boolean {
    const { base } = this.#source.keys;
    return base === undefined ? this.#move(MOVE.FIRST) : this.#seek("first", SEEK.GE, base);
  }

  /** Moves to the entry with the highest key. */
  last(): boolean {
    const { end } = this.#source.keys;
    return end === undefined ? this.#move(MOVE.LAST) : this.#seek("last", SEEK.LT, end);
  }

  /** Moves to the next higher key. From no entry it goes nowhere. */
  next(): boolean {
    this.#settle("next");
    return this.#state === "on" ? this.#move(MOVE.NEXT) : false;
  }

  /** Moves to the next lower key. From no entry it goes nowhere. */
  prev(): boolean {
    this.#settle("prev");
    return this.#state === "on" ? this.#move(MOVE.PREV) : false;
  }

  /**
   * Moves to the entry at or nearest to a key.
   *
   * @param key The key to search for.
   * @param mode Which entry to settle on; default `"eq"`. `"lefast"` is like `"le"`, but may settle on a
   *   deleted key, and has no value: it is for finding the highest key in use.
   */
  seek(key: K, mode: SeekMode | "lefast" = "eq"): boolean {
    const number = mode === "lefast" ? SEEK.LEFAST : seekNumber(mode);
    return this.#seek("seek", number, encodeKey(this.#source.keys, key));
  }

  #seek(op: string, mode: number, bytes: Uint8Array): boolean {
    const handle = this.#use(op);
    const { native } = this.#source.view.connection;
    const record = this.#record;
    const scratch = enterScratch();
    try {
      const { key } = scratch;
      const size = key.put(bytes);
      const result = native.cursorSeek(
        handle,
        mode,
        key.bytes,
        size,
        record.bytes,
        record.size,
      );
      this.#arrive(op, handle, result);
    } finally {
      leaveScratch(scratch);
    }
    this.#isLefast = mode === SEEK.LEFAST;
    return this.#state === "on";
  }

  #move(move: number): boolean {
    const handle = this.#use("cursor");
    const { native } = this.#source.view.connection;
    const record = this.#record;
    this.#arrive("cursor", handle, native.cursorMove(handle, move, record.bytes, record.size));
    return this.#state === "on";
  }

  /** Takes in the result of a movement. */
  #arrive(op: string, handle: Handle, result: Result): void {
    this.#isLefast = false;
    this.#state = "off"; // also if what follows throws
    if (result === RESULT.ABSENT) return;
    const { connection } = this.#source.view;
    if (result === RESULT.TOO_SMALL) this.#record = connection.take(op, handle).memory;
    else connection.check(result, op, handle);
    if (this.#isInNamespace()) this.#state = "on";
  }

  #isInNamespace(): boolean {
    const { base, end } = this.#source.keys;
    return base === undefined || isInside(this.#keyBytes(), base, end);
  }

  // --- The current key

  /** Orders the current key against `key`: -1 if it is lower, 0 if it is the same, 1 if it is higher. */
  compare(key: K): -1 | 0 | 1 {
    const bytes = encodeKey(this.#source.keys, key);
    this.#current("compare");
    return compareBytes(this.#keyBytes(), bytes);
  }

  /** Is the current key inside `prefix`? */
  startsWith(prefix: K): boolean {
    const { keys } = this.#source;
    const bytes = encodePrefix(keys, prefix);
    this.#current("startsWith");
    return isInside(this.#keyBytes(), bytes, prefixEnd(keys, bytes));
  }

  // --- Iterating from the current position, in the cursor's direction. The cursor moves along.

  /** Iterates over entries from the current one on. The cursor moves along. */
  [Symbol.iterator](): LsmIterator<[K, V]> {
    return new LsmIterator(new CursorPull(this, () => this.entry));
  }

  /** Iterates over keys from the current one on. The cursor moves along. */
  keys(): LsmIterator<K> {
    return new LsmIterator(new CursorPull(this, () => this.key));
  }

  /** Iterates over values from the current one on. The cursor moves along. */
  values(): LsmIterator<V> {
    return new LsmIterator(new CursorPull(this, () => this.value));
  }

  /** Iterates over entries from the current one through `key`; without a key, to the end. */
  until(key?: K | undefined): LsmIterator<[K, V]> {
    const bytes = key === undefined ? undefined : encodeKey(this.#source.keys, key);
    return this.#through(bytes);
  }

  /**
   * Moves to the beginning of a range, both ends of which are included and may be left out, and iterates
   * over it. The ends name the set, in whichever order; the cursor's direction names the order.
   */
  range(start?: K | undefined, end?: K | undefined): LsmIterator<[K, V]> {
    const { keys } = this.#source;
    let lower = start === undefined ? undefined : encodeKey(keys, start);
    let upper = end === undefined ? undefined : encodeKey(keys, end);
    if (lower !== undefined && upper !== undefined && compareBytes(lower, upper) > 0) {
      [lower, upper] = [upper, lower];
    }
    const [from, to] = this.#reverse ? [upper, lower] : [lower, upper];
    if (from !== undefined) this.#seek("range", this.#reverse ? SEEK.LE : SEEK.GE, from);
    else if (this.#reverse) this.last();
    else this.first();
    return this.#through(to);
  }

  #through(bound: Uint8Array | undefined): LsmIterator<[K, V]> {
    const isPast = (): boolean => {
      if (bound === undefined) return false;
      const order = compareBytes(this.#keyBytes(), bound);
      return this.#reverse ? order < 0 : order > 0;
    };
    return new LsmIterator(new CursorPull(this, () => this.entry, isPast));
  }

  // --- Life

  /**
   * Takes the newest state of the database, and goes back to the start. A closed cursor stays
   * closed.
   *
   * @returns True if it is on an entry.
   */
  reset(): boolean {
    this.#use("reset");
    this.#release();
    this.#open();
    this.#state = "start";
    return this.valid;
  }

  /** True if this call closed it. */
  close(): boolean {
    this.#requireIdle("close");
    const wasOpen = this.isOpen;
    this.#release();
    return wasOpen;
  }

  /** Closes it at the end of a block that declares it with `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #release(): void {
    if (this.#handle === 0) return;
    const handle = this.#handle;
    this.#handle = 0;
    remembered(this);
    const { view } = this.#source;
    endChild(view.connection.native, { handle, siblings: view.children });
  }

  // --- Checks

  /** The handle, if the cursor may be used. */
  #use(op: string): Handle {
    this.#requireIdle(op);
    const { view } = this.#source;
    view.connection.use(op);
    const doing = { op, path: view.connection.path };
    if (this.#handle === 0) throw closedError(doing, "the cursor");
    if (!this.#levelIsOpen()) {
      throw new LsmClosedError(`${cannot(doing)}: the cursor ended with its transaction`, doing);
    }
    if (view.handle === this.#parent) return this.#handle;
    throw closedError(doing, view.isFrozen ? "the snapshot" : "the cursor");
  }

  #levelIsOpen(): boolean {
    const level = this.#level;
    return level === undefined || (level.state === "open" && level.epoch === this.#epoch);
  }

  /** Goes to where a new cursor is. */
  #settle(op: string): void {
    this.#use(op);
    if (this.#state !== "start") return;
    if (this.#reverse) this.last();
    else this.first();
  }

  /** The record of the current entry. */
  #current(op: string): Memory {
    this.#settle(op);
    if (this.#state === "on") return this.#record;
    const doing = { op, path: this.#source.view.connection.path };
    throw new LsmMisuseError(`${cannot(doing)}: the cursor is on no entry`, {
      ...doing,
      hint: "movements return false when they end on no entry; ask them, or `valid`",
    });
  }

  #requireValue(op: string): void {
    if (!this.#isLefast) return;
    const doing = { op, path: this.#source.view.connection.path };
    throw new LsmMisuseError(`${cannot(doing)}: there is no value after seek "lefast"`, doing);
  }

  /** Decodes from the record, which stays as it is meanwhile. */
  #decode<T>(op: string, read: (record: Memory) => T): T {
    const record = this.#current(op);
    this.#isDecoding = true;
    try {
      return read(record);
    } finally {
      this.#isDecoding = false;
    }
  }

  /** Code of the user's inside a codec must not move the cursor it is decoding for. */
  #requireIdle(op: string): void {
    if (!this.#isDecoding) return;
    const doing = { op, path: this.#source.view.connection.path };
    throw new LsmMisuseError(
      `${cannot(doing)}: a codec is decoding the entry of this cursor`,
      doing,
    );
  }

  #keyBytes(): Uint8Array {
    const [start, middle] = recordParts(this.#record, 0);
    return this.#record.bytes.subarray(start, middle);
  }
}

/** What iterating needs of a cursor. */
type Movable = Pick<Cursor<unknown, unknown>, "valid" | "reverse" | "next" | "prev">;

/** Iterates by moving a cursor: the current entry first, then a movement before each further one. */
class CursorPull<T> implements Pull<T> {
  readonly #cursor: Movable;
  readonly #read: () => T;
  readonly #isPast: () => boolean;
  #hasBegun = false;

  constructor(cursor: Movable, read: () => T, isPast: () => boolean = () => false) {
    this.#cursor = cursor;
    this.#read = read;
    this.#isPast = isPast;
  }

  next(): IteratorResult<T, undefined> {
    const isOn = this.#hasBegun ? this.#step() : this.#cursor.valid;
    this.#hasBegun = true;
    if (!isOn || this.#isPast()) return { value: undefined, done: true };
    return { value: this.#read(), done: false };
  }

  #step(): boolean {
    return this.#cursor.reverse ? this.#cursor.prev() : this.#cursor.next();
  }

  requireReady(): void {}

  isPause(): boolean {
    return false;
  }

  close(): void {} // the cursor stays where it is
}
