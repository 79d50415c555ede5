// Single keys: get, set, has, delete, getOrThrow, nearest keys; small and large, empty and odd.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bytes, json, Lsm, LsmNotFoundError } from "../../mod.ts";
import { failure, filled, opened, place } from "./support.ts";

test("set stores, get reads, set replaces", () => {
  using open = opened();
  const { db } = open;
  assert.equal(db.set("key", "1"), db);
  assert.equal(db.get("key"), "1");
  db.set("key", "2");
  assert.equal(db.get("key"), "2");
});

test("a missing key is undefined, or an error that names it", () => {
  using open = opened();
  const { db } = open;
  assert.equal(db.get("k3"), undefined);
  const error = failure("LSM_NOTFOUND", () => db.getOrThrow("k3"));
  assert.ok(error instanceof LsmNotFoundError);
  assert.equal(error.name, "LsmNotFoundError");
  assert.equal(error.message, 'key not found: "k3"');
  assert.equal(error.key, "k3");
});

test("has does not depend on the value", () => {
  using open = opened();
  const { db } = open;
  db.set("empty", "");
  assert.equal(db.has("empty"), true);
  assert.equal(db.has("none"), false);
  assert.equal(db.get("empty"), "");
  assert.equal(db.getOrThrow("empty"), "");
});

test("delete tells whether the key was there", () => {
  using open = opened();
  const { db } = open;
  db.set("key", "value");
  assert.equal(db.delete("key"), true);
  assert.equal(db.delete("key"), false);
  assert.equal(db.has("key"), false);
});

test("the empty key is a key, and sorts first", () => {
  using open = opened();
  const { db } = open;
  db.set("a", "1").set("", "empty");
  assert.equal(db.get(""), "empty");
  assert.deepEqual(db.first(), ["", "empty"]);
  assert.equal(db.delete(""), true);
  assert.equal(db.get(""), undefined);
});

test("all seek modes, on a key, between keys and outside", () => {
  using open = filled("b d f");
  const { db } = open;
  const rows: [key: string, ...expected: (string | undefined)[]][] = [
    // key, eq, le, ge, lt, gt
    ["b", "b", "b", "b", undefined, "d"],
    ["d", "d", "d", "d", "b", "f"],
    ["f", "f", "f", "f", "d", undefined],
    ["a", undefined, undefined, "b", undefined, "b"],
    ["c", undefined, "b", "d", "b", "d"],
    ["g", undefined, "f", undefined, "f", undefined],
    ["", undefined, undefined, "b", undefined, "b"],
  ];
  for (const [key, ...expected] of rows) {
    const modes = ["eq", "le", "ge", "lt", "gt"] as const;
    modes.forEach((mode, i) => {
      const found = expected[i];
      const value = found?.toUpperCase();
      assert.deepEqual(db.seek(key, mode), found === undefined ? undefined : [found, value]);
      assert.equal(db.get(key, { seek: mode }), value);
    });
  }
});

test("getOrThrow takes a seek mode", () => {
  using open = filled("b d");
  assert.equal(open.db.getOrThrow("c", { seek: "le" }), "B");
  failure("LSM_NOTFOUND", () => open.db.getOrThrow("a", { seek: "le" }));
});

test("a wrong seek mode is a RangeError", () => {
  using open = filled("b");
  for (const mode of ["lefast", "", "EQ", 5, -7, "toString"]) {
    assert.throws(() => open.db.seek("b", mode as "eq"), RangeError);
    assert.throws(() => open.db.get("b", { seek: mode as "eq" }), RangeError);
  }
  assert.throws(() => open.db.get("b", null as unknown as undefined), TypeError);
});

test("keys and values of any size, also across the sizes of scratch", () => {
  using open = opened();
  const { db } = open;
  for (const size of [0, 1, 31, 32, 33, 4095, 4096, 4097, 65535, 65536, 65537, 300_000]) {
    const key = "k".repeat(size);
    const value = "v".repeat(size * 2);
    db.set(key, value);
    assert.equal(db.get(key), value, `size ${size}`);
    assert.equal(db.has(key), true);
    assert.deepEqual(db.seek(key, "eq")?.[1], value);
    assert.equal(db.delete(key), true);
  }
});

test("a value of 10 MB, and a key of 1 MB", () => {
  using open = opened<string, Uint8Array>({ values: bytes });
  const { db } = open;
  const value = new Uint8Array(10_000_000).fill(7);
  db.set("x".repeat(1_000_000), value);
  assert.deepEqual(db.get("x".repeat(1_000_000)), value);
  assert.equal(db.get("x".repeat(999_999)), undefined);
});

test("text of all kinds comes back as it was", () => {
  using open = opened();
  const { db } = open;
  const texts = [
    "\ufeffbom",
    "\ufffd",
    "é",
    "汉字",
    "\u{1f600}",
    "a\0b",
    "\uffff",
    "x".repeat(31) + "é",
  ];
  for (const text of texts) {
    db.set(text, text);
    assert.equal(db.get(text), text);
  }
  assert.equal(db.count(), texts.length);
});

test("any text comes back as it was", () => {
  using open = opened();
  const text = fc.string({ unit: "binary" });
  fc.assert(fc.property(text, text, (key, value) => {
    open.db.set(key, value);
    assert.equal(open.db.get(key), value);
  }));
});

test("keys are ordered by code point, not by UTF-16 unit", () => {
  using open = opened();
  open.db.setMany({ "\u{1f600}": "emoji", "\uffff": "last of the plane" });
  assert.deepEqual([...open.db.keys()], ["\uffff", "\u{1f600}"]);
});

test("what is not text is a TypeError, and nothing is written", () => {
  using open = opened();
  const { db } = open;
  for (const wrong of [undefined, null, 1, 1n, true, {}, ["a"], new Uint8Array(1), Symbol()]) {
    const value = wrong as string;
    assert.throws(() => db.set("key", value), TypeError);
    assert.throws(() => db.set(value, "value"), TypeError);
    assert.throws(() => db.get(value), TypeError);
    assert.throws(() => db.has(value), TypeError);
    assert.throws(() => db.delete(value), TypeError);
    assert.throws(() => db.seek(value, "le"), TypeError);
  }
  assert.equal(db.count(), 0);
});

test("lone surrogates are refused, wherever they stand", () => {
  using open = opened();
  for (const text of ["\ud800", "a\udc00", "x".repeat(100) + "\ud83d", "\ude00\ud83d"]) {
    assert.throws(() => open.db.set(text, "value"), TypeError);
    assert.throws(() => open.db.set("key", text), TypeError);
  }
  assert.equal(open.db.count(), 0);
});

test("getMany and hasMany answer in the order of the keys, duplicates included", () => {
  using open = filled("a b c");
  const { db } = open;
  assert.deepEqual(db.getMany(["c", "x", "a", "c"]), ["C", undefined, "A", "C"]);
  assert.deepEqual(db.getMany(new Set(["b"])), ["B"]);
  assert.deepEqual(db.getMany([]), []);
  assert.deepEqual(db.hasMany(["c", "x", "a"]), [true, false, true]);
  assert.deepEqual(db.getMany(["bb", "a", "0"], { seek: "le" }), ["B", "A", undefined]);
  db.transaction((tx) => {
    tx.set("bb", "new");
    assert.deepEqual(tx.getMany(["bb", "bbb"], { seek: "le" }), ["new", "new"]);
  });
});

test("getMany fetches more than fits into scratch", () => {
  using open = opened();
  const { db } = open;
  const keys = Array.from({ length: 2000 }, (_, i) => `key ${i}`);
  db.setMany(keys.map((key) => [key, key.repeat(50)] as const));
  assert.deepEqual(db.getMany([...keys, "none"]), [
    ...keys.map((key) => key.repeat(50)),
    undefined,
  ]);
});

test("getOrInsert reads, or stores", () => {
  using open = opened();
  const { db } = open;
  assert.equal(db.getOrInsert("key", "1"), "1");
  assert.equal(db.getOrInsert("key", "2"), "1");
  assert.equal(db.get("key"), "1");
  assert.equal(db.getOrInsert("empty", ""), "");
  assert.equal(db.getOrInsert("empty", "other"), "");
});

test("a stored null is there: it is given, without a transaction", () => {
  using open = opened<string, unknown>({ values: json });
  open.db.set("null", null);
  open.db.close();
  using db = new Lsm<string, unknown>(open.at.file(), { values: json, readOnly: true });
  assert.equal(db.getOrInsert("null", 1), null);
  assert.equal(db.getOrInsertComputed("null", () => assert.fail()), null);
  failure("LSM_READONLY", () => db.getOrInsert("none", 1));
  assert.throws(() => db.getOrInsert("none", undefined), TypeError);
});

test("getOrInsertComputed asks only if needed, and undoes all if it throws", () => {
  using open = filled("a");
  const { db } = open;
  assert.equal(db.getOrInsertComputed("a", () => assert.fail()), "A");
  assert.equal(db.getOrInsertComputed("b", (key) => key.repeat(3)), "bbb");
  assert.throws(() =>
    db.getOrInsertComputed("c", () => {
      db.set("d", "inside");
      throw new Error("stop");
    }), /stop/);
  assert.equal(db.has("c"), false);
  assert.equal(db.has("d"), false);
  assert.equal(db.transactionDepth, 0);
  assert.throws(() => db.getOrInsertComputed("c", "value" as never), TypeError);
});

test("compareAndSet stores only what was expected", () => {
  using open = opened();
  const { db } = open;
  assert.equal(db.compareAndSet("key", "1", "2"), false);
  assert.equal(db.compareAndSet("key", undefined, "1"), true);
  assert.equal(db.compareAndSet("key", undefined, "2"), false);
  assert.equal(db.compareAndSet("key", "", "2"), false);
  assert.equal(db.compareAndSet("key", "1", "2"), true);
  assert.equal(db.get("key"), "2");
  assert.equal(db.compareAndSet("key", "2", undefined), true);
  assert.equal(db.has("key"), false);
  assert.equal(db.compareAndSet("key", undefined, undefined), true);
  const large = "x".repeat(100_000);
  db.set("key", large);
  assert.equal(db.compareAndSet("key", large.slice(1) + "y", "small"), false);
  assert.equal(db.compareAndSet("key", large, "small"), true);
});

test("incr counts in 64 bits, with Python's bytes", () => {
  using open = opened();
  const { db } = open;
  const raw = db.as({ values: bytes });
  assert.equal(db.incr("n"), 1);
  assert.equal(db.incr("n"), 2);
  assert.deepEqual(raw.get("n"), Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 2));
  assert.equal(db.incr("n", -7), -5);
  assert.deepEqual(raw.get("n"), Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 251));
  assert.equal(db.incr("n", 2 ** 31 + 4), 2 ** 31 - 1);
  assert.equal(db.incr("n"), 2 ** 31);
  assert.equal(db.incr("n", 1n), 2n ** 31n + 1n);
  assert.equal(db.incr("big", 2n ** 63n - 1n), 2n ** 63n - 1n);
  assert.equal(db.incr("low", -(2n ** 63n)), -(2n ** 63n));
});

test("incr refuses to leave its range, and writes nothing then", () => {
  using open = opened();
  const { db } = open;
  db.incr("n", 2 ** 53 - 1);
  assert.throws(() => db.incr("n"), RangeError);
  assert.equal(db.incr("n", 0n), 2n ** 53n - 1n);
  assert.equal(db.incr("n", 2n ** 63n - 2n ** 53n), 2n ** 63n - 1n);
  assert.throws(() => db.incr("n", 1n), RangeError);
  assert.equal(db.incr("n", 0n), 2n ** 63n - 1n);
  for (const by of [0.5, NaN, Infinity, 2 ** 53, 2n ** 63n]) {
    assert.throws(() => db.incr("n", by as number), RangeError);
  }
  for (const by of ["1", null, {}]) assert.throws(() => db.incr("n", by as never), TypeError);
  assert.equal(db.transactionDepth, 0);
});

test("incr refuses what is no counter, and tells its size", () => {
  using open = opened();
  const { db } = open;
  db.set("n", "abc");
  const error = failure("LSM_NOTCOUNTER", () => db.incr("n"));
  assert.match(error.message, /3 bytes/);
  assert.equal(db.get("n"), "abc");
  assert.equal(db.transactionDepth, 0);
});

test("content is there for a second object on the file", () => {
  using at = place();
  using one = new Lsm(at.file());
  one.set("key", "value");
  using two = new Lsm(at.file());
  assert.equal(two.get("key"), "value");
});
