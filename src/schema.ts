/**
 * Values that are checked when written and when read.
 *
 * @module
 */
import type { Codec } from "./codec.ts";
import { json } from "./codecs.ts";
import { decodeWith, encodeWith, IN_PLACE, packedValue } from "./packed.ts";
import type { Packed } from "./packed.ts";

/**
 * A validator of any library that follows Standard Schema (zod, valibot, arktype and others). Only the
 * part of the standard that is used here.
 *
 * @example
 * ```ts
 * import type { StandardSchema } from "@lsmdb/lsm";
 * const positive: StandardSchema<number> = {
 *   "~standard": {
 *     version: 1,
 *     vendor: "example",
 *     validate: (value) =>
 *       typeof value === "number" && value > 0
 *         ? { value }
 *         : { issues: [{ message: "must be a positive number" }] },
 *   },
 * };
 * ```
 */
export interface StandardSchema<T> {
  /** The standard's entry point. */
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<T> | Promise<SchemaResult<T>>;
  };
}

/** What a {@link StandardSchema} says of a value: the value it makes of it, or what is wrong. */
export type SchemaResult<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One thing that is wrong with a value. */
export interface SchemaIssue {
  /** In words. */
  readonly message: string;
  /** Where in the value. */
  readonly path?: readonly unknown[] | undefined;
}

/**
 * Makes a typed codec from a validator. What does not pass is refused with a `TypeError` when written, and
 * is an `LsmDecodeError` when read. The validator must be synchronous.
 *
 * @param validator Decides what is a `T`; may change the value, which then happens in both directions.
 * @param base Turns the value into bytes; default {@link json}.
 * @example
 * ```ts
 * import { Lsm, schema, type StandardSchema } from "@lsmdb/lsm";
 * const positive: StandardSchema<number> = {
 *   "~standard": {
 *     version: 1,
 *     vendor: "example",
 *     validate: (value) =>
 *       typeof value === "number" && value > 0
 *         ? { value }
 *         : { issues: [{ message: "must be a positive number" }] },
 *   },
 * };
 * using db = new Lsm("prices.ldb", { values: schema(positive) });
 * db.set("tea", 3.5);
 * ```
 */
export function schema<T>(validator: StandardSchema<T>, base: Codec<unknown> = json): Codec<T> {
  const packed = packedValue(base); // refuses what is no codec now, not at the first value
  const codec: Codec<T> & Packed<T> & { readonly [IN_PLACE]: true } = {
    name: `schema(${base.name})`,
    [IN_PLACE]: true,
    encode: (value) => encodeWith(codec, value),
    decode: (bytes) => decodeWith(codec, bytes),
    write: (value, target, offset) => packed.write(validated(validator, value), target, offset),
    read: (source, start, end) => validated(validator, packed.read(source, start, end)),
  };
  return codec;
}

function validated<T>(validator: StandardSchema<T>, value: unknown): T {
  const result = validator["~standard"].validate(value);
  if (result instanceof Promise) {
    throw new TypeError("The validator of a codec must be synchronous");
  }
  if (result.issues === undefined) return result.value;
  throw new TypeError(`Not valid: ${result.issues.map(issueText).join("; ")}`);
}

function issueText({ message, path }: SchemaIssue): string {
  if (path === undefined || path.length === 0) return message;
  const keys = path.map((step) =>
    typeof step === "object" && step !== null && "key" in step ? step.key : step
  );
  return `${keys.map(String).join(".")}: ${message}`;
}
