// Codecs: what each accepts, refuses and gives back; and codecs of the user's.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bytes, i64, json, Lsm, LsmDecodeError, schema, tuple, u64, utf8 } from "../../mod.ts";
import type { Codec, KeyCodec, StandardSchema } from "../../mod.ts";
import { compareBytes } from "../../src/range.ts";
import { failure, opened, place } from "./support.ts";

test("utf8 is strict in both directions", () => {
  assert.deepEqual(utf8.encode("é"), Uint8Array.of(0xc3, 0xa9));
  assert.equal(utf8.decode(Uint8Array.of(0xc3, 0xa9)), "é");
  const malformed = [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0xf4, 0x90, 0x80, 0x80]];
  for (const wrong of malformed) {
    assert.throws(() => utf8.decode(Uint8Array.from(wrong)), TypeError);
  }
  assert.equal(utf8.decode(utf8.encode("\ufeffx\ufffd")), "\ufeffx\ufffd");
  assert.throws(() => utf8.encode("\ud800"), TypeError);
});

test("utf8 is what TextEncoder makes of it", () => {
  const text = fc.string({ unit: "binary", maxLength: 100 });
  fc.assert(fc.property(text, (value) => {
    assert.deepEqual(utf8.encode(value), new TextEncoder().encode(value));
    assert.equal(utf8.decode(utf8.encode(value)), value);
  }));
});

test("json keeps what JSON keeps, and refuses what it leaves out", () => {
  const values = [null, true, 0, -1.5, "x", [], [1, [2]], {}, { a: { b: null } }, "\ud800"];
  for (const value of values) assert.deepEqual(json.decode(json.encode(value)), value);
  for (const value of [undefined, () => {}, Symbol()]) {
    assert.throws(() => json.encode(value), TypeError);
  }
  assert.throws(() => json.encode(1n), TypeError);
  assert.throws(() => json.decode(new TextEncoder().encode("{")), SyntaxError);
});

test("i64 and u64 are 8 bytes, big-endian", () => {
  assert.deepEqual(i64.encode(-2n), Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 254));
  assert.deepEqual(u64.encode(258n), Uint8Array.of(0, 0, 0, 0, 0, 0, 1, 2));
  for (const n of [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n)]) {
    assert.equal(i64.decode(i64.encode(n)), n);
  }
  assert.equal(u64.decode(u64.encode(2n ** 64n - 1n)), 2n ** 64n - 1n);
  assert.throws(() => i64.encode(2n ** 63n), RangeError);
  assert.throws(() => u64.encode(-1n), RangeError);
  assert.throws(() => u64.encode(2n ** 64n), RangeError);
  assert.throws(() => i64.encode(1 as never), TypeError);
  assert.throws(() => i64.decode(new Uint8Array(7)), RangeError);
});

test("u64 orders as numbers do", () => {
  const n = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  fc.assert(fc.property(n, n, (a, b) => {
    assert.equal(compareBytes(u64.encode(a), u64.encode(b)), a < b ? -1 : a > b ? 1 : 0);
  }));
});

test("bytes gives private copies, and takes any view", () => {
  using open = opened<Uint8Array, Uint8Array>({ keys: bytes, values: bytes });
  const { db } = open;
  const given = Uint8Array.of(9, 1, 2, 3, 9).subarray(1, 4);
  db.set(given, given);
  given[0] = 7;
  const key = Uint8Array.of(1, 2, 3);
  const first = db.get(key);
  assert.deepEqual(first, key);
  first?.fill(0);
  assert.deepEqual(db.get(key), key);
  assert.equal(db.get(key)?.constructor, Uint8Array);
  assert.equal(db.get(key)?.buffer.byteLength, 3);
});

test("bytes reads shared, resizable and dishonest arrays as what they are", () => {
  using open = opened<string, Uint8Array>({ values: bytes });
  const { db } = open;
  const shared = new Uint8Array(new SharedArrayBuffer(4)).fill(1);
  db.set("shared", shared);
  const resizable = new ArrayBuffer(4, { maxByteLength: 1024 });
  const view = new Uint8Array(resizable);
  resizable.resize(2);
  db.set("resized", view);
  const liar = new Uint8Array(3).fill(5);
  Object.defineProperty(liar, "length", { value: 1_000_000 });
  Object.defineProperty(liar, "byteLength", { value: 1_000_000 });
  db.set("liar", liar);
  class Longer extends Uint8Array {
    override get length(): number {
      return 1_000_000;
    }
  }
  db.set("longer", new Longer(2));
  assert.deepEqual([...db].map(([key, value]) => [key, value.length]), [
    ["liar", 3],
    ["longer", 2],
    ["resized", 2],
    ["shared", 4],
  ]);
});

test("what is longer than 2^31 bytes is refused before anything is copied", () => {
  using open = opened<string, Uint8Array>({ values: bytes });
  const { db } = open;
  let huge: Uint8Array;
  try {
    huge = new Uint8Array(2 ** 31); // pages nobody touches
  } catch {
    return; // a machine that has not even those
  }
  assert.throws(() => db.set("k", huge), /Too large: 2147483648 bytes/);
  assert.throws(() => db.as({ keys: bytes }).get(huge), RangeError);
  assert.throws(() => db.setMany([["a", new Uint8Array(1)], ["k", huge]]), RangeError);
  assert.equal(db.count(), 0);
});

test("bytes refuses what only looks like bytes", () => {
  using open = opened<string, Uint8Array>({ values: bytes });
  const detached = new Uint8Array(8);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  const wrong: unknown[] = [
    "abc",
    [1, 2],
    new ArrayBuffer(4),
    new DataView(new ArrayBuffer(4)),
    new Uint16Array(4),
    new Uint8ClampedArray(4),
    Object.create(Uint8Array.prototype),
    { length: 3, byteLength: 3 },
    null,
    undefined,
    detached,
  ];
  for (const value of wrong) assert.throws(() => open.db.set("k", value as Uint8Array), TypeError);
  assert.equal(open.db.count(), 0);
});

test("as looks at the same entries through other codecs", () => {
  using open = opened();
  const { db } = open;
  db.set("a", '{"x":1}');
  assert.deepEqual(db.as({ values: json }).get("a"), { x: 1 });
  const raw = db.as({ keys: bytes, values: bytes });
  assert.deepEqual(raw.first()?.[0], Uint8Array.of(0x61));
  raw.set(Uint8Array.of(0x62), Uint8Array.of(0x63));
  assert.equal(db.get("b"), "c");
  assert.equal(raw.path, db.path);
  assert.equal(raw.isOpen, true);
});

test("what a codec cannot decode is LSM_DECODE, with the key and the reason", () => {
  using open = opened();
  const { db } = open;
  const raw = db.as({ values: bytes });
  raw.set("a", Uint8Array.of(0x41)).set("b", Uint8Array.of(0xff)).set("c", Uint8Array.of(0x43));
  const error = failure("LSM_DECODE", () => db.get("b"));
  assert.equal(error.op, "get");
  assert.ok(error instanceof LsmDecodeError);
  assert.equal(error.key, "b");
  assert.ok(error.cause instanceof TypeError);
  assert.match(error.message, /the value of "b" is not utf8/);
  assert.match(error.hint ?? "", /bytes/);
  assert.equal(failure("LSM_DECODE", () => [...db]).message.includes('"b"'), true);
  const uses: [op: string, use: () => unknown][] = [
    ["getMany", () => db.getMany(["a", "b"])],
    ["seek", () => db.seek("b", "eq")],
    ["first", () => db.first({ gt: "a" })],
    ["entries", () => [...db]],
    ["values", () => [...db.values()]],
  ];
  for (const [op, use] of uses) assert.equal(failure("LSM_DECODE", use).op, op);
  assert.deepEqual([...db.keys()], ["a", "b", "c"], "keys do not read values");
  assert.equal(db.has("b"), true);
  raw.as({ keys: bytes }).set(Uint8Array.of(0xff), Uint8Array.of(0));
  assert.match(failure("LSM_DECODE", () => db.last()).message, /a key of 1 bytes is not utf8/);
  using cursor = db.cursor();
  cursor.last();
  assert.equal(failure("LSM_DECODE", () => cursor.key).op, "key");
});

test("a codec of the user's gets and gives bytes of its own", () => {
  using at = place();
  const kept: Uint8Array[] = [];
  const upper: Codec<string> = {
    name: "upper",
    encode: (value) => new TextEncoder().encode(value.toUpperCase()),
    decode(stored) {
      kept.push(stored);
      return new TextDecoder().decode(stored).toLowerCase();
    },
  };
  using db = new Lsm<string, string>(at.file(), { values: upper });
  db.setMany({ a: "x", b: "y" });
  assert.deepEqual([...db.values()], ["x", "y"]);
  assert.equal(db.get("a"), "x");
  structuredClone(kept[0]?.buffer, { transfer: [kept[0]?.buffer as ArrayBuffer] });
  kept[1]?.fill(0);
  assert.deepEqual([...db.values()], ["x", "y"]);
  assert.equal(db.as({ values: utf8 }).get("a"), "X");
});

test("a codec of the user's for keys orders and prefixes", () => {
  using at = place();
  const length: KeyCodec<string> = {
    name: "shortest first",
    ordered: true,
    encode: (value) => Uint8Array.of(value.length, ...utf8.encode(value)),
    encodePrefix: (prefix) => Uint8Array.of(prefix.length),
    decode: (stored) => utf8.decode(stored.subarray(1)),
  };
  using db = new Lsm(at.file(), { keys: length });
  db.setMany({ ccc: "3", aa: "2", z: "1", bb: "2" });
  assert.deepEqual([...db.keys()], ["z", "aa", "bb", "ccc"]);
  assert.deepEqual([...db.keys({ prefix: "??" })], ["aa", "bb"]);
});

test("what a codec of the user's returns is checked", () => {
  using at = place();
  let result: unknown;
  const any: Codec<string> = {
    name: "any",
    encode: () => result as Uint8Array,
    decode: () => "",
  };
  using db = new Lsm<string, string>(at.file(), { values: any });
  for (result of ["text", null, undefined, [1], new Uint16Array(1), new ArrayBuffer(1)]) {
    assert.throws(() => db.set("k", "v"), TypeError);
  }
  result = new Uint8Array(new SharedArrayBuffer(2));
  db.set("k", "v");
  assert.equal(db.as({ values: bytes }).get("k")?.length, 2);
});

test("what is no codec is refused when opening", () => {
  using at = place();
  for (const wrong of [null, 1, "utf8", {}, { encode() {} }]) {
    assert.throws(() => new Lsm(at.file(), { values: wrong as never }), TypeError);
    assert.throws(() => new Lsm(at.file(), { keys: wrong as never }), TypeError);
  }
  assert.throws(() => new Lsm(at.file(), { keys: json as never }), /codec json for keys/);
  assert.throws(() => new Lsm(at.file(), { keys: i64 as never }), TypeError);
});

test("schema checks what is written and what is read", () => {
  using open = opened();
  const { db } = open;
  const positive: StandardSchema<number> = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: (value) =>
        typeof value === "number" && value > 0
          ? { value }
          : { issues: [{ message: "must be positive", path: ["a", { key: "b" }] }] },
    },
  };
  const prices = db.as({ values: schema(positive) });
  prices.set("tea", 3.5);
  assert.equal(prices.get("tea"), 3.5);
  assert.throws(() => prices.set("tea", -1), /Not valid: a\.b: must be positive/);
  db.set("tea", "-1");
  failure("LSM_DECODE", () => prices.get("tea"));
  const late: StandardSchema<number> = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: (value) => Promise.resolve({ value: value as number }),
    },
  };
  assert.throws(() => db.as({ values: schema(late) }).set("tea", 1), TypeError);
  assert.throws(() => schema(positive, null as never), TypeError);
  assert.equal(schema(positive).name, "schema(json)");
});

test("tuple keys in a database", () => {
  using open = opened({ keys: tuple });
  const { db } = open;
  db.set(["user", 1n, "name"], "Ada");
  db.set(["user", 1n, "mail"], "ada@example.org");
  db.set(["user", 2n, "name"], "Grace");
  db.set(["users"], "not a user");
  assert.deepEqual([...db.keys({ prefix: ["user", 1n] })], [
    ["user", 1n, "mail"],
    ["user", 1n, "name"],
  ]);
  assert.equal(db.count({ prefix: ["user"] }), 3);
  assert.deepEqual(db.seek(["user", 2n], "ge"), [["user", 2n, "name"], "Grace"]);
});
