// What the compiler accepts and refuses. The assertions are the `@ts-expect-error` comments and the
// assignments; running this file does nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, json, Lsm, tuple, u64, utf8 } from "../../mod.ts";
import type {
  Codec,
  Cursor,
  KeyCodec,
  LsmIterator,
  LsmOptions,
  Namespace,
  Reader,
  Snapshot,
  Transaction,
  TuplePart,
  Writer,
} from "../../mod.ts";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true
  : false;
function is<_ extends true>(): void {}

/** Compiled, never called. */
export function compiled(): void {
  // --- Codecs decide the types; those that are not text need one.
  const text = new Lsm("x");
  is<Equal<typeof text, Lsm<string, string>>>();
  const raw = new Lsm("x", { keys: bytes, values: bytes });
  is<Equal<typeof raw, Lsm<Uint8Array, Uint8Array>>>();
  const numbers = new Lsm("x", { keys: u64 });
  is<Equal<typeof numbers, Lsm<bigint, string>>>();
  const documents = new Lsm("x", { values: json, pageSize: 1024 });
  is<Equal<typeof documents, Lsm<string, unknown>>>();
  const typed = new Lsm<readonly TuplePart[], Date>("x", {
    keys: tuple,
    values: json as Codec<Date>,
  });
  is<Equal<ReturnType<typeof typed.get>, Date | undefined>>();
  // @ts-expect-error: keys that are not text need a codec
  new Lsm<number>("x");
  // @ts-expect-error: so do values
  new Lsm<string, number>("x", {});
  // @ts-expect-error: also if they are text among others
  new Lsm<string, string | number>("x");
  // @ts-expect-error: also with options
  new Lsm<string, string | null>("x", {});
  // @ts-expect-error: anything is more than text
  new Lsm<string, unknown>("x");
  // @ts-expect-error: some texts are less
  new Lsm<string, "a" | "b">("x");
  // @ts-expect-error: the same for keys
  new Lsm<string | Uint8Array>("x");
  // @ts-expect-error: one codec of two
  new Lsm<bigint, bigint>("x", { keys: u64 });
  new Lsm<string, unknown>("x", { values: json });
  new Lsm<string, string>("x", {});
  // @ts-expect-error: json does not order
  new Lsm("x", { keys: json });
  // @ts-expect-error: a codec of another type
  new Lsm<string, number>("x", { values: utf8 });
  // @ts-expect-error: an unknown option
  new Lsm("x", { colour: "red" });
  // @ts-expect-error: numbers are not levels
  new Lsm("x", { safety: 2 });
  const options: LsmOptions = { safety: "full" };
  new Lsm(new URL("file:///x"), options);

  // --- Reading and writing
  is<Equal<ReturnType<typeof text.get>, string | undefined>>();
  is<Equal<ReturnType<typeof text.getOrThrow>, string>>();
  is<Equal<ReturnType<typeof text.getMany>, (string | undefined)[]>>();
  is<Equal<ReturnType<typeof text.seek>, [string, string] | undefined>>();
  is<Equal<ReturnType<typeof text.keys>, LsmIterator<string>>>();
  is<Equal<ReturnType<typeof text.cursor>, Cursor<string, string>>>();
  is<Equal<ReturnType<typeof text.snapshot>, Snapshot<string, string>>>();
  // @ts-expect-error: a key of another type
  text.get(1);
  // @ts-expect-error: a value of another type
  text.set("k", 1);
  // @ts-expect-error: lefast is for cursors
  text.get("k", { seek: "lefast" });
  text.cursor().seek("k", "lefast");
  text.setMany({ a: "b" });
  raw.setMany([[Uint8Array.of(1), Uint8Array.of(2)]]);
  // @ts-expect-error: a plain object has text keys
  raw.setMany({ a: Uint8Array.of(1) });
  // @ts-expect-error: first takes a set, not an order
  text.first({ reverse: true });

  // --- incr gives what it is given
  is<Equal<typeof byNumber, number>>();
  const byNumber = text.incr("n", 2);
  is<Equal<typeof byBigint, bigint>>();
  const byBigint = text.incr("n", 2n);

  // --- Transactions
  const result = text.transaction((tx) => {
    is<Equal<typeof tx, Transaction<string, string>>>();
    return 1;
  });
  is<Equal<typeof result, number>>();
  is<Equal<typeof nothing, void>>();
  const nothing = text.transaction(() => {});
  is<Equal<typeof object, Transaction<string, string>>>();
  const object = text.transaction();
  // @ts-expect-error: an async function
  text.transaction(async () => await Promise.resolve());
  // @ts-expect-error: a promise
  text.transaction(() => Promise.resolve(1));
  // @ts-expect-error: an async function
  text.transactional(async () => await Promise.resolve());
  const wrapped = text.transactional(function (this: Date, n: number, s?: string) {
    return this.getTime() + n + (s?.length ?? 0);
  });
  is<Equal<typeof wrapped, (this: Date, n: number, s?: string | undefined) => number>>();
  const on = object.on(raw);
  is<Equal<typeof on, Transaction<Uint8Array, Uint8Array>>>();

  // --- Views and interfaces
  const reader: Reader<string, string> = text;
  const writer: Writer<string, string> = object;
  const both: Reader<string, string> & Writer<string, string> = text.namespace("p");
  const readers: Reader<string, string>[] = [reader, text.snapshot(), object, both];
  // @ts-expect-error: a snapshot is no writer
  const refused: Writer<string, string> = text.snapshot();
  const seen = text.as({ values: json });
  is<Equal<typeof seen, Lsm<string, unknown>>>();
  const keyed = seen.as({ keys: u64 });
  is<Equal<typeof keyed, Lsm<bigint, unknown>>>();
  const recoded = text.as({ keys: tuple, values: bytes });
  is<Equal<typeof recoded, Lsm<readonly TuplePart[], Uint8Array>>>();
  const same = seen.as({});
  is<Equal<typeof same, Lsm<string, unknown>>>();
  // @ts-expect-error: other keys need a codec
  text.as<number, Date>({});
  // @ts-expect-error: so do other values
  text.as<string, Date>({ keys: utf8 });
  // @ts-expect-error: with one type, too
  text.as<Date>({});
  // @ts-expect-error: a codec of another type
  text.as<Date>({ values: json });
  const inside = seen.namespace("p");
  is<Equal<typeof inside, Namespace<string, unknown>>>();
  const insideRaw = recoded.namespace(["p"]).namespace("q", { keys: u64 });
  is<Equal<typeof insideRaw, Namespace<bigint, Uint8Array>>>();
  const insideJson = raw.namespace(Uint8Array.of(1), { values: json });
  is<Equal<typeof insideJson, Namespace<string, unknown>>>();
  const insideBoth = text.namespace("p", { keys: u64, values: json });
  is<Equal<typeof insideBoth, Namespace<bigint, unknown>>>();
  // @ts-expect-error: keys that are not text need a codec
  text.namespace<bigint>("p").set(1n, "x");
  // @ts-expect-error: values other than those of the database need one
  text.namespace<string, Date>("p", { keys: utf8 });
  // @ts-expect-error: the same in a namespace
  inside.namespace<bigint>("q");
  const helper: Iterator<[string, string], undefined> = text.entries();
  const key: KeyCodec<string> = utf8;
  void [writer, readers, refused, helper, key];
}

/** Generic code, where it is not known what the types are. */
export function generic<K, V>(db: Lsm<K, V>, prefix: K): void {
  const documents = db.as({ values: json });
  is<Equal<typeof documents, Lsm<K, unknown>>>();
  const space = db.namespace(prefix);
  is<Equal<typeof space, Namespace<string, V>>>();
}

test("the types of this file have been checked by the compiler", () => {
  assert.equal(typeof compiled, "function");
});
