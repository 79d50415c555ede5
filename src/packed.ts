/**
 * Codecs as the rest of this library uses them: writing into memory that is there already, reading
 * without making a view first. Built-in codecs do both themselves; for a user's codec it is done here.
 *
 * @module
 */
import type { Codec, KeyCodec } from "./codec.ts";
import { enterScratch, leaveScratch } from "./memory.ts";
import type { Memory } from "./memory.ts";

/** What a codec is used for; messages say it. */
export type Role = "key" | "value";

/** A codec that works in place. */
export interface Packed<T> {
  readonly name: string;
  /** Undefined for a codec on its own. */
  readonly role?: Role | undefined;
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
  /** See {@link KeyCodec.reservesFF}. */
  readonly reservesFF?: boolean | undefined;
  /** Every key starts with these bytes; undefined if there are none such. */
  readonly base?: Uint8Array | undefined;
  /** With a base: the least bytes above all keys; undefined if there are none such. */
  readonly end?: Uint8Array | undefined;
}

/** Marks the codecs of this library, which implement {@link PackedKey} besides {@link KeyCodec}. */
export const IN_PLACE: unique symbol = Symbol("in place");

/** The working form of a value codec. Throws `TypeError` for what is no codec. */
export function packedValue<V>(codec: Codec<V>): Packed<V> {
  checkCodec(codec, "values");
  return isInPlace<V>(codec) ? inRole(codec, "value") : new Foreign<V>(codec);
}

/** The working form of a key codec. Throws `TypeError` for what is no key codec. */
export function packedKey<K>(codec: KeyCodec<K>): PackedKey<K> {
  checkCodec(codec, "keys");
  if (codec.ordered !== true || typeof codec.encodePrefix !== "function") {
    throw new TypeError(
      `Cannot use codec ${codec.name} for keys: the order of its bytes is not that of its values`,
    );
  }
  return isInPlace<K>(codec) ? inRole(codec, "key") : new ForeignKey<K>(codec);
}

/** The same codec, which knows what it is used for. */
function inRole<K>(codec: PackedKey<K>, role: Role): PackedKey<K> {
  return Object.create(codec, { role: { value: role } }) as PackedKey<K>;
}

function checkCodec(codec: Codec<unknown>, option: string): void {
  const isCodec = typeof codec === "object" && codec !== null &&
    typeof codec.encode === "function" && typeof codec.decode === "function";
  if (!isCodec) throw new TypeError(`Option ${option} must be a codec, not ${describe(codec)}`);
}

function isInPlace<T>(codec: Codec<T>): codec is Codec<T> & PackedKey<T> {
  return IN_PLACE in codec;
}

/** Encodes on its own, as the public `encode` of a codec does. */
export function encodeWith<T>(codec: Packed<T>, value: T): Uint8Array {
  const scratch = enterScratch();
  try {
    const size = codec.write(value, scratch.value, 0);
    return scratch.value.copy(0, size);
  } finally {
    leaveScratch(scratch);
  }
}

/** Decodes on its own. */
export function decodeWith<T>(codec: Packed<T>, bytes: Uint8Array): T {
  const scratch = enterScratch();
  try {
    const size = copyBytes(bytes, scratch.value, 0);
    return codec.read(scratch.value, 0, size);
  } finally {
    leaveScratch(scratch);
  }
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
  readonly reservesFF: boolean;
  readonly #codec: KeyCodec<K>;

  constructor(codec: KeyCodec<K>) {
    super(codec);
    this.reservesFF = codec.reservesFF === true;
    this.#codec = codec;
  }

  writePrefix(prefix: K, target: Memory, offset: number): number {
    return copyBytes(this.#codec.encodePrefix(prefix), target, offset);
  }
}

/** The byte put before an inner key that would begin with it, or with FF, where FF is reserved. */
const ESCAPE = 0xfe;

/**
 * Keys of a namespace: those of another codec behind fixed bytes. See docs/decisions/0005.
 *
 * Behind a tuple, what goes on with FF belongs to other tuples. So there a key that begins with FE
 * or FF gets another FE in front, which keeps the order, and all keys below FF:
 *
 *     inner key     stored behind 02 61 00, the tuple ["a"]
 *     62            62
 *     FE 01         FE FE 01
 *     FF            FE FF
 */
export class BasedKey<K> implements PackedKey<K> {
  readonly name: string;
  readonly base: Uint8Array;
  readonly end: Uint8Array | undefined;
  readonly reservesFF: boolean;
  readonly #inner: PackedKey<K>;
  readonly #escapes: boolean;

  constructor(base: Uint8Array, end: Uint8Array | undefined, inner: PackedKey<K>) {
    this.name = inner.name;
    this.base = base;
    this.end = end;
    this.reservesFF = inner.reservesFF === true;
    this.#inner = inner;
    this.#escapes = end !== undefined && end.length > base.length; // it is the base and FF
  }

  write(key: K, target: Memory, offset: number): number {
    const size = copyBytes(this.base, target, offset);
    const innerSize = this.#inner.write(key, target, offset + size);
    return size + this.#escape(target, offset + size, innerSize);
  }

  writePrefix(prefix: K, target: Memory, offset: number): number {
    const size = copyBytes(this.base, target, offset);
    const innerSize = this.#inner.writePrefix(prefix, target, offset + size);
    return size + this.#escape(target, offset + size, innerSize);
  }

  /** Escapes the inner key at `start`, and gives its new size. */
  #escape(target: Memory, start: number, size: number): number {
    if (!this.#escapes || size === 0 || (target.bytes[start] as number) < ESCAPE) return size;
    target.reserve(start + size, 1);
    target.bytes.copyWithin(start + 1, start, start + size);
    target.bytes[start] = ESCAPE;
    return size + 1;
  }

  read(source: Memory, start: number, end: number): K {
    const inner = start + this.base.length;
    const isEscaped = this.#escapes && inner < end && source.bytes[inner] === ESCAPE;
    return this.#inner.read(source, isEscaped ? inner + 1 : inner, end);
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
export function copyBytes(
  bytes: Uint8Array,
  target: Memory,
  offset: number,
  role?: Role | undefined,
): number {
  if (!isBytes(bytes)) throw wrongType(role, "a Uint8Array", bytes);
  const size = lengthOf.call(bytes);
  target.reserve(offset, size);
  target.bytes.set(bytes, offset); // throws TypeError if detached, RangeError if it has grown meanwhile
  return size;
}

/** Is it a `Uint8Array`, or of a class made from it? */
export function isBytes(value: unknown): value is Uint8Array {
  return tagOf.call(value) === "Uint8Array";
}

const wrongTypes = new WeakSet<Error>();

/** The error for a key or value that the codec in use does not take, with the codec that would. */
export function wrongType(role: Role | undefined, expected: string, value: unknown): TypeError {
  const as = role === undefined ? "" : ` as the ${role}`;
  const codec = role === undefined ? undefined : codecFor(role, value);
  const cure = codec === undefined
    ? ""
    : `; for such ${role}s open with another codec: { ${role}s: ${codec} }`;
  return wrongArgument(`Expected ${expected}${as}, got ${describe(value)}${cure}`);
}

/** Puts the place of a wrong argument in front of its error. Errors of others stay as they are. */
export function located(place: string, error: unknown): unknown {
  if (!(error instanceof TypeError) || !wrongTypes.has(error)) return error;
  const { message } = error;
  return wrongArgument(`${place}: ${message.charAt(0).toLowerCase()}${message.slice(1)}`);
}

/** An error for which {@link located} can tell the place. */
export function wrongArgument(message: string): TypeError {
  const error = new TypeError(message);
  wrongTypes.add(error);
  return error;
}

/** The built-in codec for such a key or value. */
function codecFor(role: Role, value: unknown): string | undefined {
  const isKey = role === "key";
  switch (typeof value) {
    case "string":
      return "utf8";
    case "number":
      return isKey ? "f64" : "json";
    case "bigint":
      return isKey ? "u64" : "i64";
    case "boolean":
      return isKey ? "tuple" : "json";
    case "object":
      if (isBytes(value)) return "bytes";
      return !isKey ? "json" : Array.isArray(value) ? "tuple" : undefined;
    default:
      return undefined;
  }
}

/** Names a wrong argument in a message. */
export function describe(value: unknown): string {
  if (value === null) return "null";
  if (typeof value !== "object") {
    return typeof value === "undefined" ? "undefined" : `a ${typeof value}`;
  }
  const name: unknown = value.constructor?.name;
  if (typeof name !== "string" || name === "Object" || name === "") return "an object";
  return `${/^[AEIO]/.test(name) ? "an" : "a"} ${name}`;
}
