// Ranges: which keys, in which order, how many. Pure logic first, then through the engine.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bytes, utf8 } from "../../mod.ts";
import type { KeyRange } from "../../mod.ts";
import { packedKey } from "../../src/packed.ts";
import { compareBytes, prefixSuccessor, resolveRange } from "../../src/range.ts";
import { filled, keysOf, opened } from "./support.ts";

test("the successor of a prefix drops trailing FF and adds one", () => {
  const successor = (...prefix: number[]) => {
    const found = prefixSuccessor(Uint8Array.from(prefix));
    return found === undefined ? undefined : [...found];
  };
  assert.deepEqual(successor(1, 2), [1, 3]);
  assert.deepEqual(successor(1, 0xff), [2]);
  assert.deepEqual(successor(1, 0xff, 0xff), [2]);
  assert.deepEqual(successor(0xfe), [0xff]);
  assert.equal(successor(0xff), undefined);
  assert.equal(successor(0xff, 0xff), undefined);
  assert.equal(successor(), undefined);
});

test("the successor is above all keys with the prefix, and below all others that are", () => {
  const key = fc.uint8Array({ maxLength: 4 });
  fc.assert(fc.property(key, key, (prefix, other) => {
    const next = prefixSuccessor(prefix);
    const hasPrefix = compareBytes(other.subarray(0, prefix.length), prefix) === 0;
    const isBelow = next === undefined || compareBytes(other, next) < 0;
    assert.equal(hasPrefix, compareBytes(other, prefix) >= 0 && isBelow);
  }));
});

test("bytes compare as unsigned, the shorter first", () => {
  const compare = (left: number[], right: number[]) =>
    compareBytes(Uint8Array.from(left), Uint8Array.from(right));
  assert.equal(compare([0x7f], [0x80]), -1);
  assert.equal(compare([1], [1, 0]), -1);
  assert.equal(compare([], [0]), -1);
  assert.equal(compare([2], [1, 255]), 1);
  assert.equal(compare([1, 2], [1, 2]), 0);
});

test("a prefix tightens the bounds, and never widens them", () => {
  const keys = packedKey(utf8);
  const text = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes);
  const bounds = (range: KeyRange<string>) => {
    const { lower, lowerInclusive, upper, upperInclusive, empty } = resolveRange(range, keys);
    if (empty) return "empty";
    return `${lowerInclusive ? "[" : "("}${text(lower)},${text(upper)}${
      upperInclusive ? "]" : ")"
    }`;
  };
  assert.equal(bounds({ prefix: "b" }), "[b,c)");
  assert.equal(bounds({ prefix: "b", gt: "a", lt: "z" }), "[b,c)");
  assert.equal(bounds({ prefix: "b", gt: "b" }), "(b,c)");
  assert.equal(bounds({ prefix: "b", gt: "bb", lte: "bc" }), "(bb,bc]");
  assert.equal(bounds({ prefix: "b", lte: "c" }), "[b,c)");
  assert.equal(bounds({ prefix: "b", lt: "b" }), "empty");
  assert.equal(bounds({ prefix: "b", gte: "c" }), "empty");
  assert.equal(bounds({ prefix: "" }), "(undefined,undefined)");
  assert.equal(bounds({ gte: "a", gt: "x", lte: "c", lt: "b" }), "[a,c]");
  assert.equal(bounds({ gt: "a", lt: "a" }), "empty");
  assert.equal(bounds({ gte: "a", lt: "a" }), "empty");
  assert.equal(bounds({ gte: "a", lte: "a" }), "[a,a]");
  assert.equal(bounds({ lt: "" }), "empty");
  assert.equal(bounds({ lte: "" }), "(undefined,]");
});

const table: [range: KeyRange<string>, expected: string][] = [
  [{}, "a c d f"],
  [{ gt: "a" }, "c d f"],
  [{ gte: "a" }, "a c d f"],
  [{ gte: "b" }, "c d f"],
  [{ lt: "d" }, "a c"],
  [{ lte: "d" }, "a c d"],
  [{ lte: "e" }, "a c d"],
  [{ gt: "a", lt: "f" }, "c d"],
  [{ gte: "x" }, ""],
  [{ lt: "a" }, ""],
  [{ gte: "d", lte: "a" }, ""],
  [{ reverse: true }, "f d c a"],
  [{ gte: "b", lte: "d", reverse: true }, "d c"],
  [{ limit: 2 }, "a c"],
  [{ limit: 2, reverse: true }, "f d"],
  [{ limit: 0 }, ""],
  [{ limit: Infinity }, "a c d f"],
  [{ limit: 2 ** 40 }, "a c d f"],
  [{ gt: "a", limit: 1 }, "c"],
  [{ prefix: "c" }, "c"],
  [{ prefix: "b" }, ""],
  [{ prefix: "", limit: 3 }, "a c d"],
  [{ gte: "a", gt: "d" }, "a c d f"],
  [{ gt: undefined, lte: undefined, limit: undefined }, "a c d f"],
];

for (const [range, expected] of table) {
  test(`range ${JSON.stringify(range)} over "a c d f" is "${expected}"`, () => {
    using open = filled("a c d f");
    const { db } = open;
    assert.equal(keysOf(db.entries(range)), expected);
    assert.equal([...db.keys(range)].join(" "), expected);
    assert.equal([...db.values(range)].join(" "), expected.toUpperCase());
    assert.equal(db.count(range), expected === "" ? 0 : expected.split(" ").length);
    let seen = "";
    db.forEach((value, key, source) => {
      assert.equal(source, db);
      assert.equal(value, key.toUpperCase());
      seen += `${key} `;
    }, range);
    assert.equal(seen.trim(), expected);
  });
}

test("first and last, of all and within bounds", () => {
  using open = filled("a c d f");
  const { db } = open;
  assert.deepEqual(db.first(), ["a", "A"]);
  assert.deepEqual(db.last(), ["f", "F"]);
  assert.deepEqual(db.first({ gt: "a" }), ["c", "C"]);
  assert.deepEqual(db.first({ gte: "b" }), ["c", "C"]);
  assert.deepEqual(db.last({ lt: "f" }), ["d", "D"]);
  assert.deepEqual(db.last({ lte: "e" }), ["d", "D"]);
  assert.deepEqual(db.last({ prefix: "c" }), ["c", "C"]);
  assert.deepEqual(db.last({ gt: "a" }), ["f", "F"]);
  assert.equal(db.first({ gt: "a", lt: "c" }), undefined);
  assert.equal(db.last({ gt: "d", lt: "f" }), undefined);
  assert.equal(db.first({ lt: "" }), undefined);
  db.clear();
  assert.equal(db.first(), undefined);
  assert.equal(db.last(), undefined);
});

test("bounds longer than the memory kept for calls are counted with, and compared whole", () => {
  using open = filled("a c");
  const { db } = open;
  const long = (letter: string) => letter.repeat(2_000_000);
  for (let i = 0; i < 3; i++) {
    assert.equal(db.count({ lte: long("b") }), 1);
    assert.equal(db.count({ gte: long("b") }), 1);
    assert.equal(db.count({ gt: long("a"), lt: long("b") }), 0);
    assert.equal(db.count({ gt: long("A"), lt: long("d") }), 2);
    assert.equal(keysOf(db.entries({ gte: long("b"), lte: long("d") })), "c");
    assert.deepEqual(db.first({ gte: long("b") }), ["c", "C"]);
  }
});

test("wrong ranges are refused before anything is read", () => {
  using open = filled("a");
  const { db } = open;
  const wrong = (range: unknown) => () => db.entries(range as KeyRange<string>);
  assert.throws(wrong({ start: "a" }), /no option start.*gt, gte/);
  assert.throws(wrong("a"), TypeError);
  assert.throws(wrong(null), TypeError);
  assert.throws(wrong({ gt: 1 }), TypeError);
  assert.throws(wrong({ gt: null }), TypeError);
  assert.throws(wrong({ reverse: 1 }), TypeError);
  assert.throws(wrong({ limit: "1" }), TypeError);
  assert.throws(wrong({ limit: 1n }), TypeError);
  for (const limit of [-1, 0.5, NaN, -Infinity]) assert.throws(wrong({ limit }), RangeError);
  assert.throws(wrong({ signal: {} }), TypeError);
  assert.throws(() => db.first({ reverse: true } as KeyRange<string>), /no option reverse/);
  assert.throws(() => db.range("a", "b", { reverse: "yes" as never }), TypeError);
});

test("any range is the filtered list", () => {
  using open = opened<Uint8Array, string>({ keys: bytes });
  const { db } = open;
  const key = fc.uint8Array({ maxLength: 3, max: 255 }).map((part) =>
    part.map((byte) => byte < 200 ? byte % 3 : 255)
  );
  const model = fc.sample(key, { numRuns: 60, seed: 1 })
    .sort(compareBytes)
    .filter((each, i, all) => i === 0 || compareBytes(each, all[i - 1] ?? each) !== 0);
  db.setMany(model.map((each) => [each, [...each].join()] as const));
  const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
  const range = fc.record({
    gt: maybe(key),
    gte: maybe(key),
    lt: maybe(key),
    lte: maybe(key),
    prefix: maybe(key),
    reverse: maybe(fc.boolean()),
    limit: maybe(fc.nat(8)),
  });
  fc.assert(
    fc.property(range, (given) => {
      const { gt, gte, lt, lte, prefix, reverse, limit } = given;
      let expected = model.filter((each) =>
        (gte !== undefined
          ? compareBytes(each, gte) >= 0
          : gt === undefined || compareBytes(each, gt) > 0) &&
        (lte !== undefined
          ? compareBytes(each, lte) <= 0
          : lt === undefined || compareBytes(each, lt) < 0) &&
        (prefix === undefined || compareBytes(each.subarray(0, prefix.length), prefix) === 0)
      );
      const all = expected;
      if (reverse) expected = expected.toReversed();
      expected = expected.slice(0, limit);
      assert.deepEqual([...db.keys(given)], expected);
      assert.equal(db.count(given), expected.length);
      const { reverse: _, limit: __, ...bounds } = given;
      assert.deepEqual(db.first(bounds)?.[0], all[0]);
      assert.deepEqual(db.last(bounds)?.[0], all.at(-1));
    }),
    { numRuns: 500 },
  );
});
