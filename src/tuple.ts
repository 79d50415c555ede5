/**
 * Ordered tuples: keys of several parts whose bytes sort as the parts do. Pure.
 *
 * The bytes are those of Deno KV's keys, which are those of FoundationDB's tuple layer. Each part is a
 * type byte and a payload that shows its own end:
 *
 *     01 bytes…  00            bytes, each 00 inside written as 00 FF
 *     02 text…   00            text in UTF-8, each 00 inside written as 00 FF
 *     0B n' ~bytes             bigint below -(2^64-1): length and magnitude, all bits inverted
 *     0C…13 ~bytes             negative bigint of 8…1 bytes, inverted
 *     14                       bigint 0
 *     15…1C bytes              positive bigint of 1…8 bytes, big-endian
 *     1D n bytes               bigint above 2^64-1
 *     21 8 bytes               number: IEEE 754, sign bit inverted; if negative, all bits inverted
 *     26, 27                   false, true
 *
 * So ["a", 1n] is 02 61 00 15 01, and every key that begins with "a" begins with 02 61 00. The
 * reverse is not true: ["a\0b"] is 02 61 00 FF 62 00. As no part begins with FF, the keys that
 * begin with "a" are those from 02 61 00 up to, and without, 02 61 00 FF.
 *
 * @module
 */
import type { KeyCodec } from "./codec.ts";
import { utf8 } from "./codecs.ts";
import { Memory } from "./memory.ts";
import {
  copyBytes,
  decodeWith,
  describe,
  encodeWith,
  IN_PLACE,
  isBytes,
  packedKey,
  wrongType,
} from "./packed.ts";
import type { PackedKey, Role } from "./packed.ts";

/** One part of an ordered tuple key. */
export type TuplePart = Uint8Array | string | bigint | number | boolean;

const TYPE = {
  BYTES: 0x01,
  TEXT: 0x02,
  BELOW: 0x0b,
  ZERO: 0x14,
  ABOVE: 0x1d,
  NUMBER: 0x21,
  FALSE: 0x26,
  TRUE: 0x27,
} as const;

const text = packedKey(utf8);
const number = new DataView(new ArrayBuffer(8));
const SIGN = 1n << 63n;

class TupleCodec implements KeyCodec<readonly TuplePart[]>, PackedKey<readonly TuplePart[]> {
  readonly name = "tuple";
  readonly ordered = true;
  readonly reservesFF = true;
  readonly [IN_PLACE] = true;
  declare readonly role?: Role | undefined;

  write(value: readonly TuplePart[], target: Memory, offset: number): number {
    if (!Array.isArray(value)) throw wrongType(this.role, "an array", value);
    const parts = [...value] as TuplePart[]; // the last moment at which code of the user's may run
    let at = offset;
    for (const part of parts) at = writePart(part, target, at);
    return at - offset;
  }

  writePrefix(prefix: readonly TuplePart[], target: Memory, offset: number): number {
    return this.write(prefix, target, offset);
  }

  read(source: Memory, start: number, end: number): readonly TuplePart[] {
    return new TupleReader(source, start, end).parts();
  }

  encode(value: readonly TuplePart[]): Uint8Array {
    return encodeWith(this, value);
  }

  encodePrefix(prefix: readonly TuplePart[]): Uint8Array {
    return this.encode(prefix);
  }

  decode(bytes: Uint8Array): readonly TuplePart[] {
    return decodeWith(this, bytes);
  }
}

/** Writes one part at `at`; gives the place behind it. */
function writePart(part: TuplePart, target: Memory, at: number): number {
  switch (typeof part) {
    case "string":
      putByte(target, at, TYPE.TEXT);
      return close(target, at + 1, text.write(part, target, at + 1));
    case "number":
      return writeNumber(part, target, at);
    case "bigint":
      return writeInteger(part, target, at);
    case "boolean":
      return putByte(target, at, part ? TYPE.TRUE : TYPE.FALSE);
    default:
      if (!isBytes(part)) {
        throw new TypeError(
          "A part of a tuple is a string, number, bigint, boolean or Uint8Array, " +
            `not ${describe(part)}`,
        );
      }
      putByte(target, at, TYPE.BYTES);
      return close(target, at + 1, copyBytes(part, target, at + 1));
  }
}

function putByte(target: Memory, at: number, byte: number): number {
  target.reserve(at, 1);
  target.bytes[at] = byte;
  return at + 1;
}

/** Escapes the zeros in the payload at `start`, and ends it. Gives the place behind the end. */
function close(target: Memory, start: number, size: number): number {
  let zeros = 0;
  for (let i = start; i < start + size; i++) if (target.bytes[i] === 0) zeros++;
  target.reserve(start + size, zeros + 1);
  const { bytes } = target;
  const end = start + size + zeros;
  bytes[end] = 0;
  let to = end;
  for (let from = start + size - 1; to > from + 1; from--) { // backwards, as source and target overlap
    const byte = bytes[from] as number;
    if (byte === 0) bytes[--to] = 0xff;
    bytes[--to] = byte;
  }
  return end + 1;
}

function writeNumber(value: number, target: Memory, at: number): number {
  number.setFloat64(0, value);
  const bits = Number.isNaN(value) ? 0x7ff8n << 48n : number.getBigUint64(0); // one NaN for all
  target.reserve(at, 9);
  target.bytes[at] = TYPE.NUMBER;
  target.text.writeBigUInt64BE(BigInt.asUintN(64, bits & SIGN ? ~bits : bits | SIGN), at + 1);
  return at + 9;
}

function writeInteger(value: bigint, target: Memory, at: number): number {
  if (value === 0n) return putByte(target, at, TYPE.ZERO);
  const digits = (value < 0n ? -value : value).toString(16);
  const size = (digits.length + 1) >> 1;
  if (size > 255) {
    throw new RangeError(`A bigint in a key takes at most 255 bytes, this one ${size}`);
  }
  const invert = value < 0n ? 0xff : 0;
  const sign = value < 0n ? -1 : 1;
  target.reserve(at, size + 2);
  const { bytes } = target;
  if (size <= 8) {
    bytes[at++] = TYPE.ZERO + sign * size;
  } else {
    bytes[at++] = value < 0n ? TYPE.BELOW : TYPE.ABOVE;
    bytes[at++] = size ^ invert;
  }
  const padding = digits.padStart(size * 2, "0");
  for (let i = 0; i < size; i++) {
    bytes[at++] = parseInt(padding.slice(2 * i, 2 * i + 2), 16) ^ invert;
  }
  return at;
}

/** Reads the parts of one key. */
class TupleReader {
  readonly #source: Memory;
  readonly #end: number;
  #at: number;

  constructor(source: Memory, start: number, end: number) {
    this.#source = source;
    this.#at = start;
    this.#end = end;
  }

  parts(): TuplePart[] {
    const parts: TuplePart[] = [];
    while (this.#at < this.#end) parts.push(this.#part());
    return parts;
  }

  #part(): TuplePart {
    const type = this.#byte();
    switch (type) {
      case TYPE.BYTES:
        return this.#payload().copy();
      case TYPE.TEXT:
        return this.#payload().text();
      case TYPE.NUMBER:
        return this.#number();
      case TYPE.FALSE:
        return false;
      case TYPE.TRUE:
        return true;
      default:
        if (type < TYPE.BELOW || type > TYPE.ABOVE) {
          throw new RangeError(`No part of a tuple begins with byte ${type}`);
        }
        return this.#integer(type);
    }
  }

  #byte(): number {
    if (this.#at >= this.#end) throw new RangeError("The tuple ends inside a part");
    return this.#source.bytes[this.#at++] as number;
  }

  /** Moves behind the payload that starts here, and gives it without its escapes. */
  #payload(): { copy(): Uint8Array; text(): string } {
    const start = this.#at;
    let zeros = 0;
    for (;;) {
      if (this.#byte() !== 0) continue;
      if (this.#at >= this.#end || this.#source.bytes[this.#at] !== 0xff) break;
      this.#at++;
      zeros++;
    }
    const end = this.#at - 1;
    if (zeros === 0) {
      return {
        copy: () => this.#source.copy(start, end),
        text: () => text.read(this.#source, start, end),
      };
    }
    const plain = new Memory(end - start - zeros);
    let to = 0;
    for (let from = start; from < end; from++) {
      const byte = this.#source.bytes[from] as number;
      plain.bytes[to++] = byte;
      if (byte === 0) from++; // the FF of the escape
    }
    return { copy: () => plain.copy(0, to), text: () => text.read(plain, 0, to) };
  }

  #number(): number {
    if (this.#end - this.#at < 8) throw new RangeError("The tuple ends inside a number");
    const bits = this.#source.text.readBigUInt64BE(this.#at);
    this.#at += 8;
    number.setBigUint64(0, BigInt.asUintN(64, bits & SIGN ? bits ^ SIGN : ~bits));
    return number.getFloat64(0);
  }

  #integer(type: number): bigint {
    if (type === TYPE.ZERO) return 0n;
    const negative = type < TYPE.ZERO;
    const invert = negative ? 0xff : 0;
    const isLong = type === TYPE.BELOW || type === TYPE.ABOVE;
    const size = isLong ? this.#byte() ^ invert : Math.abs(type - TYPE.ZERO);
    let digits = "";
    for (let i = 0; i < size; i++) {
      digits += (this.#byte() ^ invert).toString(16).padStart(2, "0");
    }
    const magnitude = BigInt(`0x${digits || "0"}`);
    return negative ? -magnitude : magnitude;
  }
}

/**
 * Ordered tuples, byte-compatible with the keys of Deno KV. Parts sort by type (bytes, string, bigint,
 * number, boolean), then by value; a shorter tuple sorts before its extensions; a prefix matches whole
 * parts, so that `["user"]` is not a prefix of `["users", 1]`.
 *
 * @example
 * ```ts
 * import { Lsm, tuple } from "@lsmdb/lsm";
 * using db = new Lsm("mail.ldb", { keys: tuple });
 * db.set(["inbox", 2], "second").set(["inbox", 1], "first").set(["outbox", 1], "sent");
 * console.log([...db.values({ prefix: ["inbox"] })]); // [ "first", "second" ]
 * ```
 */
export const tuple: KeyCodec<readonly TuplePart[]> = new TupleCodec();
