/**
 * Codecs: how keys and values become bytes. Pure.
 *
 * @module
 */

/**
 * Turns one type into bytes and back. Stateless and synchronous.
 *
 * @example A codec for dates
 * ```ts
 * import { type Codec, i64, Lsm } from "@lsmdb/lsm";
 * const date: Codec<Date> = {
 *   name: "date",
 *   encode: (value) => i64.encode(BigInt(value.getTime())),
 *   decode: (bytes) => new Date(Number(i64.decode(bytes))),
 * };
 * using db = new Lsm<string, Date>("dates.ldb", { values: date });
 * db.set("launch", new Date(0));
 * console.log(db.get("launch")?.getUTCFullYear()); // 1970
 * ```
 */
export interface Codec<T> {
  /** Used in messages. */
  readonly name: string;
  /** Gives the bytes of a value; throws what the caller should see if it cannot. */
  encode(value: T): Uint8Array;
  /** Gives the value of some bytes, which are a private copy; throws if they are malformed. */
  decode(bytes: Uint8Array): T;
}

/**
 * A codec whose byte order is the order of its values; only these may encode keys.
 *
 * @example
 * ```ts
 * import { type KeyCodec, Lsm, tuple, type TuplePart } from "@lsmdb/lsm";
 * const keys: KeyCodec<readonly TuplePart[]> = tuple;
 * using db = new Lsm("tuples.ldb", { keys });
 * db.set(["user", 7], "Ada");
 * console.log(db.count({ prefix: ["user"] })); // 1
 * ```
 */
export interface KeyCodec<K, Prefix = K> extends Codec<K> {
  /** A promise: `encode(a) < encode(b)`, as bytes, whenever `a` comes before `b`. */
  readonly ordered: true;
  /** Bytes with which every key "inside" `prefix` starts. */
  encodePrefix(prefix: Prefix): Uint8Array;
  /**
   * Are keys that go on with the byte FF behind the bytes of a prefix *not* inside it? True of
   * `tuple`, and so of codecs made from it: there 00 FF is a zero inside a part, and not the part's
   * end. Default false.
   */
  readonly reservesFF?: boolean | undefined;
}
