/**
 * Codecs as the rest of this library uses them: writing into memory that is there already, reading
 * without making a view first. Built-in codecs do both themselves; for a user's codec it is done here.
 *
 * @module
 */
import type { Codec, KeyCodec } from "./codec.ts";
import type { Memory } from "./memory.ts";

/** A codec that works in place. */
export interface Packed<T> {
  readonly name: string;
  /**
   * Writes the bytes of `value` at `offset`, growing `target` if need be, and gives their number.
   * Code of the user's may run before the first byte is written, never between the bytes.
   */
  write(value: T, target: Memory, offset: number): number;
  /** Gives the value of the bytes from `start` to `end`. */
  read(source: Memory, start: number, end: number): T;
}

/** A key codec that works in place. */
export interface PackedKey<K> extends Packed<K> {
  writePrefix(prefix: K, target: Memory, offset: number): number;
  /** Every key starts with these bytes; undefined if there are none such. */
  readonly base?: Uint8Array | undefined;
}

/** Marks the codecs of this library, which implement {@link PackedKey} besides {@link KeyCodec}. */
export const IN_PLACE: unique symbol = Symbol("in place");

/** The working form of a value codec. Throws `TypeError` for what is no codec. */
export function packedValue<V>(codec: Codec<V>): Packed<V> {
  checkCodec(codec, "values");
  return isInPlace<V>(codec) ? codec : new Foreign<V>(codec);
}

/** The working form of a key codec. Throws `TypeError` for what is no key codec. */
export function packedKey<K>(codec: KeyCodec<K>): PackedKey<K> {
  checkCodec(codec, "keys");
  if (codec.ordered !== true || typeof codec.encodePrefix !== "function") {
    throw new TypeError(
      `Cannot use codec ${codec.name} for keys: the order of its bytes is not that of its values`,
    );
  }
  return isInPlace<K>(codec) ? codec : new ForeignKey<K>(codec);
}

function checkCodec(codec: Codec<unknown>, option: string): void {
  const isCodec = typeof codec === "object" && codec !== null &&
    typeof codec.encode === "function" && typeof codec.decode === "function";
  if (!isCodec) throw new TypeError(`Option ${option} must be a codec, not ${describe(codec)}`);
}

function isInPlace<T>(codec: Codec<T>): codec is Codec<T> & PackedKey<T> {
  return IN_PLACE in codec;
}

/** A value codec of the user's. */
class Foreign<T> implements Packed<T> {
  readonly name: string;
  readonly #codec: Codec<T>;

  constructor(codec: Codec<T>) {
    this.name = String(codec.name);
    this.#codec = codec;
  }

  write(value: T, target: Memory, offset: number): number {
    return copyBytes(this.#codec.encode(value), target, offset);
  }

  read(source: Memory, start: number, end: number): T {
    return this.#codec.decode(source.copy(start, end));
  }
}

/** A key codec of the user's. */
class ForeignKey<K> extends Foreign<K> implements PackedKey<K> {
  readonly #codec: KeyCodec<K>;

  constructor(codec: KeyCodec<K>) {
    super(codec);
    this.#codec = codec;
  }

  writePrefix(prefix: K, target: Memory, offset: number): number {
    return copyBytes(this.#codec.encodePrefix(prefix), target, offset);
  }
}

/** Keys of a namespace: those of another codec behind fixed bytes. */
export class BasedKey<K> implements PackedKey<K> {
  readonly name: string;
  readonly base: Uint8Array;
  readonly #inner: PackedKey<K>;

  constructor(base: Uint8Array, inner: PackedKey<K>) {
    this.name = inner.name;
    this.base = base;
    this.#inner = inner;
  }

  write(key: K, target: Memory, offset: number): number {
    const size = copyBytes(this.base, target, offset);
    return size + this.#inner.write(key, target, offset + size);
  }

  writePrefix(prefix: K, target: Memory, offset: number): number {
    const size = copyBytes(this.base, target, offset);
    return size + this.#inner.writePrefix(prefix, target, offset + size);
  }

  read(source: Memory, start: number, end: number): K {
    return this.#inner.read(source, start + this.base.length, end);
  }
}

/** What typed arrays say about themselves, whatever properties were put onto them. */
const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object;
const tagOf = getterOf(Symbol.toStringTag) as (this: unknown) => unknown;
const lengthOf = getterOf("length") as (this: Uint8Array) => number;

function getterOf(name: PropertyKey): unknown {
  return Object.getOwnPropertyDescriptor(typedArray, name)?.get;
}

/**
 * Copies an array of the user's to `offset` and gives its size. The copy is what makes shared, resizable
 * and dishonest arrays harmless. Throws `TypeError` for anything but a `Uint8Array` with its memory.
 */
export function copyBytes(bytes: Uint8Array, target: Memory, offset: number): number {
  if (tagOf.call(bytes) !== "Uint8Array") {
    throw new TypeError(`Expected a Uint8Array, got ${describe(bytes)}`);
  }
  const size = lengthOf.call(bytes);
  target.reserve(offset, size);
  target.bytes.set(bytes, offset); // throws TypeError if detached, RangeError if it has grown meanwhile
  return size;
}

/** Names a wrong argument in a message. */
export function describe(value: unknown): string {
  if (value === null) return "null";
  if (typeof value !== "object") {
    return typeof value === "undefined" ? "undefined" : `a ${typeof value}`;
  }
  const name: unknown = value.constructor?.name;
  return typeof name === "string" && name !== "Object" && name !== "" ? `a ${name}` : "an object";
}
