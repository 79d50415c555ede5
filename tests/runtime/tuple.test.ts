// The tuple codec: worked examples in bytes, order, prefixes, and malformed input.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { tuple } from "../../mod.ts";
import type { TuplePart } from "../../mod.ts";
import { compareBytes } from "../../src/range.ts";

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
