/**
 * The codecs in the core: bytes, text, JSON, 64-bit integers and numbers. Tuples are in `tuple.ts`,
 * validated values in `schema.ts`.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Codec, KeyCodec } from "./codec.ts";
import type { Memory } from "./memory.ts";
import { copyBytes, decodeWith, describe, encodeWith, IN_PLACE, wrongType } from "./packed.ts";
import type { Packed, PackedKey, Role } from "./packed.ts";

/** The public half of a codec that works in place. */
abstract class InPlace<T> implements Codec<T>, Packed<T> {
  abstract readonly name: string;
  declare readonly role?: Role | undefined;
  readonly [IN_PLACE] = true;

  abstract write(value: T, target: Memory, offset: number): number;
  abstract read(source: Memory, start: number, end: number): T;

  encode(value: T): Uint8Array {
    return encodeWith(this, value);
  }

  decode(bytes: Uint8Array): T {
    return decodeWith(this, bytes);
  }
}

abstract class InPlaceKey<K> extends InPlace<K> implements KeyCodec<K>, PackedKey<K> {
  readonly ordered = true;

  writePrefix(prefix: K, target: Memory, offset: number): number {
    return this.write(prefix, target, offset);
  }

  encodePrefix(prefix: K): Uint8Array {
    return this.encode(prefix);
  }
}

class BytesCodec extends InPlaceKey<Uint8Array> {
  readonly name = "bytes";

  write(value: Uint8Array, target: Memory, offset: number): number {
    return copyBytes(value, target, offset, this.role);
  }

  read(source: Memory, start: number, end: number): Uint8Array {
    return source.copy(start, end);
  }
}

/** Below this length a loop over ASCII beats the call into the runtime, in both runtimes. */
const SHORT = 32;
const REPLACEMENT = "\ufffd";
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

class Utf8Codec extends InPlaceKey<string> {
  readonly name = "utf8";

  write(value: string, target: Memory, offset: number): number {
    if (typeof value !== "string") throw wrongType(this.role, "a string", value);
    const length = value.length;
    if (length > SHORT || offset + length > target.size) return writeText(value, target, offset);
    const bytes = target.bytes;
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) return writeText(value, target, offset);
      bytes[offset + i] = code;
    }
    return length;
  }

  read(source: Memory, start: number, end: number): string {
    const text = source.text.toString("utf8", start, end);
    // The replacement character is either stored or stands for something malformed: ask the strict one.
    return text.includes(REPLACEMENT) ? strict.decode(source.bytes.subarray(start, end)) : text;
  }
}

/** Writes any text. Lone surrogates are refused: the runtimes would replace them silently. */
function writeText(text: string, target: Memory, offset: number): number {
  if (!text.isWellFormed()) {
    throw new TypeError(
      `Text with a lone surrogate has no UTF-8: ${JSON.stringify(shorten(text))}`,
    );
  }
  const most = text.length * 3; // no UTF-16 unit needs more
  if (most > target.size - offset) target.reserve(offset, Buffer.byteLength(text));
  return target.text.write(text, offset, "utf8");
}

function shorten(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

class JsonCodec extends InPlace<unknown> {
  readonly name = "json";

  write(value: unknown, target: Memory, offset: number): number {
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined) throw new TypeError(`JSON cannot represent ${describe(value)}`);
    return utf8InPlace.write(text, target, offset);
  }

  read(source: Memory, start: number, end: number): unknown {
    return JSON.parse(utf8InPlace.read(source, start, end));
  }
}

function checkInteger(
  value: bigint,
  least: bigint,
  most: bigint,
  role: Role | undefined,
): void {
  if (typeof value !== "bigint") throw wrongType(role, "a bigint", value);
  if (value < least || value > most) {
    throw new RangeError(`${value} is not between ${least} and ${most}`);
  }
}

function checkEight(size: number): void {
  if (size !== 8) throw new RangeError(`A number takes 8 bytes, these are ${size}`);
}

const I64_MIN = -(2n ** 63n);
const I64_MAX = 2n ** 63n - 1n;
const U64_MAX = 2n ** 64n - 1n;

class I64Codec extends InPlace<bigint> {
  readonly name = "i64";

  write(value: bigint, target: Memory, offset: number): number {
    checkInteger(value, I64_MIN, I64_MAX, this.role);
    target.reserve(offset, 8);
    target.text.writeBigInt64BE(value, offset);
    return 8;
  }

  read(source: Memory, start: number, end: number): bigint {
    checkEight(end - start);
    return source.text.readBigInt64BE(start);
  }
}

class U64Codec extends InPlaceKey<bigint> {
  readonly name = "u64";

  write(value: bigint, target: Memory, offset: number): number {
    checkInteger(value, 0n, U64_MAX, this.role);
    target.reserve(offset, 8);
    target.text.writeBigUInt64BE(value, offset);
    return 8;
  }

  read(source: Memory, start: number, end: number): bigint {
    checkEight(end - start);
    return source.text.readBigUInt64BE(start);
  }
}

const view = new DataView(new ArrayBuffer(8));
const SIGN = 0x8000_0000;
const NOT_A_NUMBER = 0x7ff8_0000;

/**
 * Bits of a number as two halves; here they are turned so that they sort as the numbers do, and
 * back.
 */
class F64Codec extends InPlaceKey<number> {
  readonly name = "f64";

  write(value: number, target: Memory, offset: number): number {
    if (typeof value !== "number") throw wrongType(this.role, "a number", value);
    view.setFloat64(0, value);
    const high = Number.isNaN(value) ? NOT_A_NUMBER : view.getUint32(0); // one for all
    const low = Number.isNaN(value) ? 0 : view.getUint32(4);
    const isNegative = high >= SIGN;
    target.reserve(offset, 8);
    target.text.writeUInt32BE((isNegative ? ~high : high | SIGN) >>> 0, offset);
    target.text.writeUInt32BE((isNegative ? ~low : low) >>> 0, offset + 4);
    return 8;
  }

  read(source: Memory, start: number, end: number): number {
    checkEight(end - start);
    const high = source.text.readUInt32BE(start);
    const low = source.text.readUInt32BE(start + 4);
    const isNegative = high < SIGN;
    view.setUint32(0, isNegative ? ~high : high ^ SIGN);
    view.setUint32(4, isNegative ? ~low : low);
    return view.getFloat64(0);
  }
}

const utf8InPlace = new Utf8Codec();

/**
 * Raw bytes. Takes any `Uint8Array`; gives a private copy.
 *
 * @example
 * ```ts
 * import { bytes, Lsm } from "@lsmdb/lsm";
 * using db = new Lsm("bytes.ldb", { keys: bytes, values: bytes });
 * db.set(Uint8Array.of(1, 2), Uint8Array.of(3));
 * console.log(db.get(Uint8Array.of(1, 2))); // Uint8Array(1) [ 3 ]
 * ```
 */
export const bytes: KeyCodec<Uint8Array> = new BytesCodec();

/**
 * Strict UTF-8, the default of keys and values: lone surrogates and malformed bytes throw. Keys are
 * ordered by code point, where JavaScript's own order is by UTF-16 unit: U+FFFF sorts before an emoji.
 *
 * @example
 * ```ts
 * import { utf8 } from "@lsmdb/lsm";
 * console.log(utf8.encode("é")); // Uint8Array(2) [ 195, 169 ]
 * ```
 */
export const utf8: KeyCodec<string> = utf8InPlace;

/**
 * `JSON.stringify` and `JSON.parse`; for values only. What JSON leaves out, such as `undefined`, is refused.
 *
 * @example
 * ```ts
 * import { json, Lsm } from "@lsmdb/lsm";
 * using db = new Lsm("json.ldb", { values: json });
 * db.set("user:1", { name: "Ada", tags: ["a", "b"] });
 * console.log(db.get("user:1")); // { name: "Ada", tags: [ "a", "b" ] }
 * ```
 */
export const json: Codec<unknown> = new JsonCodec();

/**
 * Signed 64-bit integers, 8 bytes, big-endian: the format of `incr`. For values only, as the bytes of
 * negative numbers sort behind those of positive ones.
 *
 * @example
 * ```ts
 * import { i64, Lsm } from "@lsmdb/lsm";
 * using db = new Lsm("counters.ldb");
 * db.incr("visits");
 * console.log(typeof db.as({ values: i64 }).get("visits")); // bigint
 * ```
 */
export const i64: Codec<bigint> = new I64Codec();

/**
 * Unsigned 64-bit integers, 8 bytes, big-endian: they sort as numbers do.
 *
 * @example
 * ```ts
 * import { Lsm, u64 } from "@lsmdb/lsm";
 * using db = new Lsm("log.ldb", { keys: u64 });
 * db.setMany([[10n, "ten"], [9n, "nine"]]);
 * console.log([...db.keys({ gte: 9n, lte: 10n })]); // [ 9n, 10n ]
 * ```
 */
export const u64: KeyCodec<bigint> = new U64Codec();

/**
 * Numbers, 8 bytes: IEEE 754, big-endian, with the sign bit inverted, and all bits of negative
 * ones, so that they sort as numbers do, from -Infinity to Infinity; -0 comes just before 0, and
 * NaN behind all. The bytes of a number in a `tuple` are these behind its type.
 *
 * @example
 * ```ts
 * import { f64, Lsm } from "@lsmdb/lsm";
 * using db = new Lsm("heights.ldb", { keys: f64 });
 * db.setMany([[-10.5, "dive"], [8848.86, "peak"], [0, "sea"]]);
 * console.log([...db.values()]); // [ "dive", "sea", "peak" ]
 * ```
 */
export const f64: KeyCodec<number> = new F64Codec();
