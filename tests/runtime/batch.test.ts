// Many writes in one call: setMany, batch, deleteRange, clear. All or nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bytes, utf8 } from "../../mod.ts";
import type { BatchOp, KeyRange } from "../../mod.ts";
import { compareBytes } from "../../src/range.ts";
import { filled, keysOf, opened } from "./support.ts";

test("setMany takes pairs, a Map, a generator and a plain object", () => {
  using open = opened();
  const { db } = open;
  assert.equal(db.setMany([["a", "1"]]), db);
  db.setMany(new Map([["b", "2"]]));
  db.setMany({ c: "3", d: "4" });
  db.setMany(function* (): Generator<[string, string]> {
    yield ["e", "5"];
  }());
  assert.deepEqual([...db.values()], ["1", "2", "3", "4", "5"]);
  db.setMany(db.entries());
  assert.equal(db.count(), 5);
});

test("of two values for one key the last counts", () => {
  using open = opened();
  open.db.setMany([["a", "1"], ["a", "2"]]);
  assert.equal(open.db.get("a"), "2");
});

test("a failure in the middle writes nothing", () => {
  using open = filled("a");
  const { db } = open;
  assert.throws(() => db.setMany([["b", "1"], ["c", 2 as never]]), TypeError);
  assert.throws(() => db.setMany([["b", "1"], null as never]), TypeError);
  assert.throws(() =>
    db.setMany(function* (): Generator<[string, string]> {
      yield ["b", "1"];
      throw new Error("stop");
    }()), /stop/);
  assert.throws(
    () => db.batch([{ type: "delete", key: "a" }, { type: "put" } as never]),
    TypeError,
  );
  for (const wrong of [null, 1, "ab", undefined]) {
    assert.throws(() => db.setMany(wrong as never), TypeError);
  }
  assert.equal(keysOf(db), "a");
});

test("what has to be awaited first is refused, not taken for an object without pairs", async () => {
  using open = opened();
  const { db } = open;
  async function* pairs(): AsyncGenerator<[string, string]> {
    yield ["a", "1"];
    await Promise.resolve();
  }
  const stream = new ReadableStream();
  const thenable = { then: () => {} };
  for (const wrong of [pairs(), Promise.resolve({ a: "1" }), stream, thenable]) {
    assert.throws(() => db.setMany(wrong as never), { name: "TypeError", message: /await/ });
  }
  assert.equal(db.count(), 0);
  db.setMany(await Array.fromAsync(pairs()));
  db.setMany({ then: "text" });
  db.setMany(db.namespace("none").entries());
  assert.equal(keysOf(db), "a then");
});

test("a batch does its operations in order", () => {
  using open = filled("a b c d e");
  const { db } = open;
  db.batch([
    { type: "deleteRange", range: { gt: "a", lt: "d" } },
    { type: "set", key: "c", value: "new" },
    { type: "delete", key: "e" },
    { type: "set", key: "x", value: "gone" },
    { type: "delete", key: "x" },
    { type: "delete", key: "none" },
  ]);
  assert.deepEqual([...db], [["a", "A"], ["c", "new"], ["d", "D"]]);
});

test("a batch may be larger than any buffer", () => {
  using open = opened();
  const { db } = open;
  const value = "v".repeat(1000);
  db.batch(Array.from({ length: 5_000 }, (_, i) => ({
    type: "set" as const,
    key: String(i).padStart(5, "0"),
    value: value + i,
  })));
  assert.equal(db.count(), 5_000);
  assert.equal(db.get("04999"), `${value}4999`);
});

test("deleteRange follows its ends", () => {
  const rows: [KeyRange<string>, string][] = [
    [{ gt: "b", lt: "d" }, "a b d e"],
    [{ gte: "b", lte: "d" }, "a e"],
    [{ gte: "b", lt: "d" }, "a d e"],
    [{ gt: "b" }, "a b"],
    [{ lte: "b" }, "c d e"],
    [{ gt: "aa", lt: "cc" }, "a d e"],
    [{ gte: "0", lte: "9" }, "a b c d e"],
    [{ gt: "d", lt: "b" }, "a b c d e"],
    [{ prefix: "c" }, "a b d e"],
    [{ lt: "c" }, "c d e"],
    [{ gte: "", lt: "c" }, "c d e"],
    [{ lt: "" }, "a b c d e"],
    [{ prefix: "c", gte: "" }, "a b d e"],
    [{ gt: "x" }, "a b c d e"],
    [{ limit: 2 }, "c d e"],
    [{ limit: 2, reverse: true }, "a b c"],
    [{ gt: "b", limit: 1 }, "a b d e"],
    [{ limit: 0 }, "a b c d e"],
    [{ gte: "b", limit: Infinity }, "a"],
  ];
  for (const [range, expected] of rows) {
    using open = filled("a b c d e");
    open.db.deleteRange(range);
    assert.equal(keysOf(open.db), expected, JSON.stringify(range));
  }
});

test("deleteRange needs to know what to delete", () => {
  using open = filled("a b");
  const { db } = open;
  const wrong = [
    {},
    { gt: undefined },
    { gt: "" },
    { gte: "" },
    { gte: "", prefix: undefined },
    { reverse: true },
    { limit: Infinity },
    { gte: "", limit: Infinity },
    { prefix: "" },
    { prefix: "", lt: "zzz" },
    { prefix: "", gte: "a" },
    { prefix: "", limit: 2 },
    undefined,
    null,
    "a",
    ["a"],
  ];
  for (const range of wrong) {
    assert.throws(() => db.deleteRange(range as KeyRange<string>), TypeError);
    assert.throws(() => db.namespace("").deleteRange(range as KeyRange<string>), TypeError);
    assert.throws(() => db.batch([{ type: "deleteRange", range: range as never }]), TypeError);
  }
  db.set("in a", "1");
  for (const range of [{ gte: "" }, { prefix: "", lt: "zzz" }]) {
    assert.throws(() => db.namespace("in ").deleteRange(range), TypeError);
  }
  db.delete("in a");
  const nothing = { type: "deleteRange", range: {} } as const;
  assert.throws(() => db.deleteRange({}), /needs an upper bound, a finite limit, or a prefix/);
  assert.throws(
    () => db.batch([nothing]),
    /^TypeError: Operation 0: a range .* bound, or a prefix/,
  );
  assert.throws(
    () => db.batch([{ type: "deleteRange", range: { gt: "a", limit: 1 } as never }]),
    /no option limit/,
  );
  assert.equal(keysOf(db), "a b");
});

test("clear removes everything, also the empty key", () => {
  using open = filled("a b");
  const { db } = open;
  db.set("", "empty").set("\u{10ffff}", "last");
  db.clear();
  assert.equal(db.count(), 0);
  db.clear();
});

test("deleteRange removes what cannot be decoded, too", () => {
  using open = opened<Uint8Array, Uint8Array>({ keys: bytes, values: bytes });
  const raw = open.db;
  raw.set(Uint8Array.of(0xff), Uint8Array.of(0xff)).set(Uint8Array.of(0xfe), Uint8Array.of(0));
  raw.set(Uint8Array.of(0x61), Uint8Array.of(0x62));
  raw.as({ keys: utf8 }).deleteRange({ limit: 1, reverse: true });
  assert.equal(raw.count(), 2);
});

test("any batch leaves what its operations leave in a Map", () => {
  using open = opened<Uint8Array, Uint8Array>({ keys: bytes, values: bytes });
  const { db } = open;
  const key = fc.uint8Array({ maxLength: 2, max: 2 });
  const value = fc.uint8Array({ maxLength: 5 });
  const op = fc.oneof(
    fc.record({ type: fc.constant("set" as const), key, value }),
    fc.record({ type: fc.constant("delete" as const), key }),
    fc.record({
      type: fc.constant("deleteRange" as const),
      range: fc.record({ gte: key, lt: key }),
    }),
  );
  fc.assert(
    fc.property(fc.array(op), (ops: BatchOp<Uint8Array, Uint8Array>[]) => {
      db.clear();
      const model = new Map<string, [Uint8Array, Uint8Array]>();
      for (const each of ops) {
        if (each.type === "set") model.set(String(each.key), [each.key, each.value]);
        else if (each.type === "delete") model.delete(String(each.key));
        else {
          const { gte, lt } = each.range;
          for (const [name, [bytes]] of model) {
            const isIn = gte && lt && compareBytes(bytes, gte) >= 0 && compareBytes(bytes, lt) < 0;
            if (isIn) model.delete(name);
          }
        }
      }
      db.batch(ops);
      const expected = [...model.values()].sort(([left], [right]) => compareBytes(left, right));
      assert.deepEqual([...db], expected);
    }),
    { numRuns: 300 },
  );
});

test("batches of any size follow each other", () => {
  using open = opened();
  const { db } = open;
  const sizes = [1_500_000, 10, 3_000_000, 40_000_000, 2_000_000, 5_000];
  sizes.forEach((size, i) => {
    const half = String(i).repeat(size / 2);
    db.setMany([[`${i} a`, half], [`${i} b`, half]]);
    db.transaction((tx) => tx.setMany({ inner: half.slice(0, 10), [`${i} c`]: half }));
  });
  sizes.forEach((size, i) => {
    for (const letter of "abc") {
      const value = db.get(`${i} ${letter}`) ?? "";
      assert.equal(value.length, size / 2);
      assert.ok(value === String(i).repeat(size / 2));
    }
  });
});
