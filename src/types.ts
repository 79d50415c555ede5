/**
 * What readable and writable things can do: implemented by databases, namespaces, transactions and, for
 * reading, snapshots. Functions should ask for these.
 *
 * @module
 */
import type { Cursor } from "./cursor.ts";
import type { LsmIterator } from "./iterator.ts";
import type { KeyBounds, KeyRange } from "./range.ts";

/**
 * Which entry a search settles on: that of the key itself (`eq`), or the nearest at or below (`le`), at or
 * above (`ge`), below (`lt`) or above (`gt`).
 */
export type SeekMode = "eq" | "le" | "ge" | "lt" | "gt";

/** Options of looking up keys. */
export interface GetOptions {
  /** Look for the nearest key instead. Default `"eq"`. */
  seek?: SeekMode | undefined;
}

/** Options of reading many entries. */
export interface ReadOptions {
  /** Ends a `for await` with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** Options of {@link Reader.range}. */
export interface SliceOptions {
  /** Visit the same set from the top. Default false. */
  reverse?: boolean | undefined;
}

/** Options of {@link Reader.cursor}. */
export interface CursorOptions {
  /** Start at the last entry and iterate downwards. Default false. */
  reverse?: boolean | undefined;
}

/**
 * Something with keys and values in order: a database, namespace, transaction or snapshot.
 *
 * @example A function that takes any of them
 * ```ts
 * import { Lsm, type Reader } from "@lsmdb/lsm";
 * function greet(reader: Reader<string, string>): string {
 *   return `Hello, ${reader.get("name") ?? "you"}`;
 * }
 * using db = new Lsm("example.ldb");
 * db.set("name", "Ada");
 * console.log(greet(db), db.transaction((tx) => greet(tx))); // Hello, Ada Hello, Ada
 * ```
 */
export interface Reader<K, V> extends Iterable<[K, V]>, AsyncIterable<[K, V]> {
  /** The value of a key, or `undefined`. With `seek`, the value of the nearest key instead. */
  get(key: K, options?: GetOptions): V | undefined;
  /** The value of a key; throws `LsmNotFoundError` if there is none. */
  getOrThrow(key: K, options?: GetOptions): V;
  /** Values in the order of `keys`, `undefined` where there is none; all from one state. */
  getMany(keys: Iterable<K>, options?: GetOptions): (V | undefined)[];
  /** Is there such a key? Does not read its value. */
  has(key: K): boolean;
  /** The same for many keys, all from one state. */
  hasMany(keys: Iterable<K>): boolean[];
  /** The entry at or nearest to `key`. */
  seek(key: K, mode: SeekMode): [K, V] | undefined;
  /** The entry with the lowest key. */
  first(bounds?: KeyBounds<K>): [K, V] | undefined;
  /** The entry with the highest key. */
  last(bounds?: KeyBounds<K>): [K, V] | undefined;
  /** Entries in key order. */
  entries(range?: KeyRange<K> & ReadOptions): LsmIterator<[K, V]>;
  /** Keys in order; values are not read. */
  keys(range?: KeyRange<K> & ReadOptions): LsmIterator<K>;
  /** Values in the order of their keys. */
  values(range?: KeyRange<K> & ReadOptions): LsmIterator<V>;
  /**
   * Entries between two keys, both included and both optional. A start above the end walks downwards;
   * `reverse` visits the same set from the top.
   */
  range(
    start?: K | undefined,
    end?: K | undefined,
    options?: SliceOptions,
  ): LsmIterator<[K, V]>;
  /** Calls `fn` for each entry, with its arguments in the order of `Map`. */
  forEach(fn: (value: V, key: K, source: this) => void, range?: KeyRange<K>): void;
  /** The number of keys. Walks over all of them. */
  count(range?: KeyRange<K>): number;
  /** A cursor on the first entry, or on the last if `reverse`. */
  cursor(options?: CursorOptions): Cursor<K, V>;
}

/** One operation of {@link Writer.batch}. */
export type BatchOp<K, V> =
  | { readonly type: "set"; readonly key: K; readonly value: V }
  | { readonly type: "delete"; readonly key: K }
  | { readonly type: "deleteRange"; readonly range: KeyBounds<K> };

/** What {@link Writer.setMany} takes: pairs, or for text keys a plain object. */
export type Entries<K, V> =
  | Iterable<readonly [K, V]>
  | (string extends K ? Readonly<Record<string, V>> : never);

/**
 * Something that can be written to: a database, namespace or transaction.
 *
 * @example A function that takes any of them
 * ```ts
 * import { Lsm, type Writer } from "@lsmdb/lsm";
 * function rename(writer: Writer<string, string>, name: string): void {
 *   writer.set("name", name);
 *   writer.delete("nickname");
 * }
 * using db = new Lsm("example.ldb");
 * db.transaction((tx) => rename(tx, "Grace")); // both or neither
 * ```
 */
export interface Writer<K, V> {
  /** Stores a value, replacing any previous one. */
  set(key: K, value: V): this;
  /** Stores all pairs, or none. */
  setMany(entries: Entries<K, V>): this;
  /** Removes a key; true if it was there. */
  delete(key: K): boolean;
  /**
   * Removes all keys of a range, or none. Needs an upper bound, a finite limit, or a prefix or
   * lower bound that is not empty.
   */
  deleteRange(range: KeyRange<K>): void;
  /** Removes everything. */
  clear(): void;
  /** Does all operations, in order, or none. Does not look at old values. */
  batch(ops: Iterable<BatchOp<K, V>>): void;
  /** Adds to a signed 64-bit counter, which starts at 0, and gives the new value. */
  incr(key: K, by?: number): number;
  /** The same with any 64-bit value. */
  incr(key: K, by: bigint): bigint;
  /** The value of a key; if there is none, stores this one. */
  getOrInsert(key: K, value: V): V;
  /** The value of a key; if there is none, stores what `make` gives. */
  getOrInsertComputed(key: K, make: (key: K) => V): V;
  /**
   * Stores `next` if the encoded value is that of `expected`, where `undefined` stands for no value at
   * all. True if it did.
   */
  compareAndSet(key: K, expected: V | undefined, next: V | undefined): boolean;
}
