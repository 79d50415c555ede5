/**
 * What is read, and with which codecs; and how stored bytes become keys and values.
 *
 * @module
 */
import { LsmDecodeError } from "./errors.ts";
import type { View } from "./connection.ts";
import type { Memory } from "./memory.ts";
import type { Packed, PackedKey } from "./packed.ts";

/** A view of a database through two codecs. */
export interface Source<K, V> {
  readonly view: View;
  readonly keys: PackedKey<K>;
  readonly values: Packed<V>;
}

/** Decodes a key, for the public method `op`. Throws `LsmDecodeError`. */
export function readKey<K>(
  { keys, view }: Pick<Source<K, unknown>, "keys" | "view">,
  op: string,
  memory: Memory,
  start: number,
  end: number,
): K {
  try {
    return keys.read(memory, start, end);
  } catch (cause) {
    const { path } = view.connection;
    throw new LsmDecodeError(
      `Cannot read "${path}": a key of ${end - start} bytes is not ${keys.name}: ${
        causeText(cause)
      }`,
      undefined,
      { op, path, cause, hint: "open with keys: bytes to inspect it" },
    );
  }
}

/** Decodes the value of `key`, for the public method `op`. Throws `LsmDecodeError`. */
export function readValue<V>(
  { values, view }: Pick<Source<unknown, V>, "values" | "view">,
  op: string,
  memory: Memory,
  start: number,
  end: number,
  key: unknown,
): V {
  try {
    return values.read(memory, start, end);
  } catch (cause) {
    const { path } = view.connection;
    const of = key === undefined ? "" : ` of ${quoteKey(key)}`;
    throw new LsmDecodeError(
      `Cannot read "${path}": the value${of} is not ${values.name}: ${causeText(cause)}`,
      key,
      { op, path, cause, hint: inspection(values.name, end - start) },
    );
  }
}

/** Decodes the entry in the record at the beginning of `memory`, for the public method `op`. */
export function readEntry<K, V>(source: Source<K, V>, op: string, memory: Memory): [K, V] {
  const [start, middle, end] = recordParts(memory, 0);
  const key = readKey(source, op, memory, start, middle);
  return [key, readValue(source, op, memory, middle, end, key)];
}

/** Where key and value of the record at `at` begin, and where it ends but for its padding. */
export function recordParts(
  memory: Memory,
  at: number,
): [start: number, middle: number, end: number] {
  const keySize = memory.words[at >> 2] as number;
  const valueSize = memory.words[(at >> 2) + 1] as number;
  const start = at + 8;
  return [start, start + keySize, start + keySize + valueSize];
}

/** A key as messages show it: shortened, and in one line. */
export function quoteKey(key: unknown): string {
  const text = key instanceof Uint8Array
    ? `<${Array.from(key.subarray(0, 20), (byte) => byte.toString(16).padStart(2, "0")).join(" ")}>`
    : typeof key === "string"
    ? JSON.stringify(key)
    : Array.isArray(key)
    ? `[${key.map(quoteKey).join(", ")}]`
    : String(key);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** How to look at a value that the codec does not take. Counters of `incr` have 8 bytes. */
function inspection(codec: string, size: number): string {
  const how = "open with values: bytes to inspect it";
  if (size !== 8 || codec === "i64") return how;
  return `if it is a counter, read it with values: i64, or db.as({ values: i64 }); else ${how}`;
}

function causeText(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
