// The tuple codec: worked examples in bytes, order, prefixes, and malformed input.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bytes, tuple } from "../../mod.ts";
import type { KeyCodec, TuplePart } from "../../mod.ts";
import { compareBytes } from "../../src/range.ts";
import { opened } from "./support.ts";

const hex = (bytes: Uint8Array) =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
const unhex = (text: string) =>
  Uint8Array.from(text.split(" ").filter(Boolean), (byte) => parseInt(byte, 16));

/** Bytes that Deno KV 2.9 stored for these keys. */
const examples: [key: TuplePart[], bytes: string][] = [
  [[], ""],
  [["a", 1n], "02 61 00 15 01"],
  [["a\0b"], "02 61 00 ff 62 00"],
  [["é"], "02 c3 a9 00"],
  [[""], "02 00"],
  [[Uint8Array.of()], "01 00"],
  [[Uint8Array.of(0, 255, 0)], "01 00 ff ff 00 ff 00"],
  [[0n], "14"],
  [[255n], "15 ff"],
  [[256n], "16 01 00"],
  [[-1n], "13 fe"],
  [[-255n], "13 00"],
  [[-256n], "12 fe ff"],
  [[2n ** 64n - 1n], "1c ff ff ff ff ff ff ff ff"],
  [[2n ** 64n], "1d 09 01 00 00 00 00 00 00 00 00"],
  [[-(2n ** 64n)], "0b f6 fe ff ff ff ff ff ff ff ff"],
  [[0], "21 80 00 00 00 00 00 00 00"],
  [[-0], "21 7f ff ff ff ff ff ff ff"],
  [[1], "21 bf f0 00 00 00 00 00 00"],
  [[-1.5], "21 40 07 ff ff ff ff ff ff"],
  [[Infinity], "21 ff f0 00 00 00 00 00 00"],
  [[NaN], "21 ff f8 00 00 00 00 00 00"],
  [[false, true], "26 27"],
];

for (const [key, bytes] of examples) {
  test(`${key.map(String).join(",") || "the empty tuple"} is ${bytes || "no bytes"}`, () => {
    assert.equal(hex(tuple.encode(key)), bytes);
    const back = tuple.decode(unhex(bytes));
    assert.equal(back.length, key.length);
    back.forEach((part, i) => assert.ok(isSame(part, key[i])));
  });
}

function isSame(left: TuplePart, right: TuplePart | undefined): boolean {
  if (left instanceof Uint8Array && right instanceof Uint8Array) {
    return compareBytes(left, right) === 0;
  }
  return Object.is(left, right);
}

const part: fc.Arbitrary<TuplePart> = fc.oneof(
  fc.uint8Array({ maxLength: 4, max: 2 }),
  fc.string({ unit: "binary", maxLength: 4 }),
  fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }),
  fc.bigInt({ min: -300n, max: 300n }),
  fc.double(),
  fc.boolean(),
);
const key = fc.array(part, { maxLength: 4 });

test("any tuple comes back as it was", () => {
  fc.assert(fc.property(key, (parts) => {
    const back = tuple.decode(tuple.encode(parts));
    assert.equal(back.length, parts.length);
    back.forEach((each, i) => assert.ok(isSame(each, parts[i])));
  }));
});

/** The order promised: by type, then by value; a shorter tuple first. */
function compare(left: readonly TuplePart[], right: readonly TuplePart[]): number {
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = comparePart(left[i] as TuplePart, right[i] as TuplePart);
    if (order !== 0) return order;
  }
  return Math.sign(left.length - right.length);
}

function rank(value: TuplePart): number {
  if (value instanceof Uint8Array) return 0;
  return ["string", "bigint", "number", "boolean"].indexOf(typeof value) + 1;
}

function comparePart(left: TuplePart, right: TuplePart): number {
  if (rank(left) !== rank(right)) return Math.sign(rank(left) - rank(right));
  if (left instanceof Uint8Array) return compareBytes(left, right as Uint8Array);
  if (typeof left === "string") {
    const encode = (text: string) => new TextEncoder().encode(text);
    return compareBytes(encode(left), encode(right as string));
  }
  if (Object.is(left, right)) return 0;
  if (Number.isNaN(left)) return 1;
  if (Number.isNaN(right)) return -1;
  if (left === right) return Object.is(left, -0) ? -1 : 1;
  return left < right ? -1 : 1;
}

test("bytes are ordered as tuples are", () => {
  fc.assert(
    fc.property(key, key, (left, right) => {
      assert.equal(compareBytes(tuple.encode(left), tuple.encode(right)), compare(left, right));
    }),
    { numRuns: 1000 },
  );
});

test("a prefix is that of whole parts", () => {
  fc.assert(fc.property(key, key, (prefix, rest) => {
    const start = tuple.encodePrefix(prefix);
    const whole = tuple.encode([...prefix, ...rest]);
    assert.equal(compareBytes(whole.subarray(0, start.length), start), 0);
  }));
  const user = tuple.encodePrefix(["user"]);
  assert.notEqual(compareBytes(tuple.encode(["users"]).subarray(0, user.length), user), 0);
});

/** Parts full of what ends a part, and of what says that it does not. */
const trickyPart: fc.Arbitrary<TuplePart> = fc.oneof(
  fc.array(fc.constantFrom(0, 1, 0xfe, 0xff), { maxLength: 3 }).map((part) =>
    Uint8Array.from(part)
  ),
  fc.string({ unit: fc.constantFrom("\0", "a", "ÿ"), maxLength: 3 }),
  fc.constantFrom<TuplePart>(0n, 255n, -256n, 0, -0, NaN, true),
);
const trickyKey = fc.array(trickyPart, { maxLength: 3 });

/** Is every part of `prefix` the one at its place in `key`? */
function isPrefix(prefix: readonly TuplePart[], key: readonly TuplePart[]): boolean {
  return prefix.length <= key.length && prefix.every((part, i) => isSame(part, key[i]));
}

/** The bytes of tuples, in order and once each. */
function distinct(keys: readonly (readonly TuplePart[])[]): string[] {
  const sorted = keys.map((each) => tuple.encode(each)).sort(compareBytes);
  return [...new Set(sorted.map(hex))];
}

test("a prefix takes in the tuples that begin with its parts, and no others", () => {
  using open = opened<readonly TuplePart[], string>({ keys: tuple });
  const { db } = open;
  const keys = fc.array(trickyKey, { minLength: 1, maxLength: 30 });
  fc.assert(fc.property(keys, trickyKey, (all, other) => {
    db.clear();
    db.setMany(all.map((each) => [each, ""] as const));
    const cut = (all[0] ?? []).slice(0, 1);
    for (const prefix of [cut, other]) {
      const inside = distinct(all.filter((each) => isPrefix(prefix, each)));
      const found = [...db.keys({ prefix })].map((each) => hex(tuple.encode(each)));
      assert.deepEqual(found, inside);
      assert.equal(db.count({ prefix }), inside.length);
      const ends = [db.first({ prefix }), db.last({ prefix })].map((entry) => entry?.[0]);
      const endBytes = ends.map((each) => each === undefined ? undefined : hex(tuple.encode(each)));
      assert.deepEqual(endBytes, [inside[0], inside.at(-1)]);
      using cursor = db.cursor();
      for (const each of all) {
        cursor.seek(each);
        assert.equal(cursor.startsWith(prefix), isPrefix(prefix, each));
      }
    }
    if (cut.length > 0) db.deleteRange({ prefix: cut });
    else db.clear(); // without a part it would be everything, which is refused
    const left = distinct(all.filter((each) => !isPrefix(cut, each)));
    assert.deepEqual([...db.keys()].map((each) => hex(tuple.encode(each))), left);
  }));
});

test("a namespace of a tuple keeps to itself, whatever its keys begin with", () => {
  using open = opened<readonly TuplePart[], string>({ keys: tuple });
  const { db } = open;
  const space = db.namespace(["a"], { keys: bytes });
  const others: TuplePart[][] = [["a\0"], ["a\0b"], ["a\0ÿ"], ["b"], [Uint8Array.of(0)]];
  const innerKey = fc.array(fc.constantFrom(0, 1, 0xfd, 0xfe, 0xff), { maxLength: 3 })
    .map((key) => Uint8Array.from(key));
  fc.assert(fc.property(fc.array(innerKey, { maxLength: 20 }), innerKey, (keys, prefix) => {
    db.clear();
    db.setMany(others.map((each) => [each, "other"] as const));
    space.setMany(keys.map((key) => [key, hex(key)] as const));
    const sorted = [...new Set(keys.toSorted(compareBytes).map(hex))];
    const startsWith = (key: string) => key.startsWith(hex(prefix));
    assert.deepEqual([...space.keys()].map(hex), sorted);
    assert.deepEqual([...space.values()], sorted);
    assert.deepEqual([...space.values({ prefix })], sorted.filter(startsWith));
    assert.deepEqual([...space.values({ gt: prefix })], [
      ...sorted.filter((key) => compareBytes(unhex(key), prefix) > 0),
    ]);
    assert.equal(space.count(), sorted.length);
    for (const key of keys) assert.equal(space.get(key), hex(key));
    using cursor = space.cursor();
    assert.equal(cursor.last() ? cursor.value : undefined, sorted.at(-1));
    assert.equal(cursor.first() ? cursor.value : undefined, sorted[0]);
    assert.equal(space.last()?.[1], sorted.at(-1));
    const next = sorted.find((key) => compareBytes(unhex(key), prefix) >= 0);
    assert.equal(space.seek(prefix, "ge")?.[1], next);
    const inner = space.namespace(prefix, { keys: bytes });
    assert.deepEqual([...inner.values()], sorted.filter(startsWith));
    if (prefix.length > 0) {
      space.deleteRange({ prefix });
      assert.deepEqual([...space.values()], sorted.filter((key) => !startsWith(key)));
    }
    space.clear();
    assert.equal(space.count(), 0);
    assert.equal(db.count(), others.length);
  }));
});

test("tuples behind a tuple are the longer tuples", () => {
  using open = opened<readonly TuplePart[], string>({ keys: tuple });
  const { db } = open;
  const space = db.namespace(["a"], { keys: tuple });
  db.set(["a\0b"], "other").set(["a", "x", 1n], "inside");
  space.set([Uint8Array.of(0xff)], "from here");
  assert.deepEqual([...space.keys()], [[Uint8Array.of(0xff)], ["x", 1n]]);
  assert.equal(db.get(["a", Uint8Array.of(0xff)]), "from here");
  space.clear();
  assert.deepEqual([...db.keys()], [["a\0b"]]);
});

test("what a namespace of a tuple stores: FE in front of FE and FF", () => {
  using open = opened<readonly TuplePart[], string>({ keys: tuple });
  const { db } = open;
  const space = db.namespace(["a"], { keys: bytes });
  for (const key of ["", "62", "fe 01", "ff"]) space.set(unhex(key), "");
  assert.deepEqual([...db.as({ keys: bytes }).keys()].map(hex), [
    "02 61 00",
    "02 61 00 62",
    "02 61 00 fe fe 01",
    "02 61 00 fe ff",
  ]);
});

test("a codec made from tuples says that it reserves FF", () => {
  using open = opened();
  const names: KeyCodec<string> = {
    name: "names",
    ordered: true,
    reservesFF: true,
    encode: (name) => tuple.encode(name.split("/")),
    decode: (bytes) => tuple.decode(bytes).join("/"),
    encodePrefix: (name) => tuple.encodePrefix(name.split("/")),
  };
  const db = open.db.as({ keys: names });
  db.setMany({ a: "", "a/b": "", "a\0b": "", "a\0b/c": "" });
  assert.deepEqual([...db.keys({ prefix: "a" })], ["a", "a/b"]);
  assert.deepEqual([...db.keys({ prefix: "a\0b" })], ["a\0b", "a\0b/c"]);
});

test("malformed bytes are refused", () => {
  const malformed = [
    "03",
    "02 61",
    "01",
    "02 61 00 ff",
    "15",
    "1c 01",
    "21 00",
    "1d",
    "1d 09 01",
    "28",
  ];
  for (const bytes of [...malformed, "02 ff 00"]) {
    assert.throws(() => tuple.decode(unhex(bytes)), bytes);
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
    try {
      tuple.decode(bytes);
    } catch (error) {
      assert.ok(error instanceof RangeError || error instanceof TypeError);
    }
  }));
});

test("what is no part is refused", () => {
  for (const wrong of [null, undefined, {}, [1], Symbol(), new Date(0)]) {
    assert.throws(() => tuple.encode([wrong as never]), TypeError);
  }
  assert.throws(() => tuple.encode("abc" as never), TypeError);
  assert.throws(() => tuple.encode(["\ud800"]), TypeError);
  assert.throws(() => tuple.encode([2n ** 2048n]), RangeError);
});
