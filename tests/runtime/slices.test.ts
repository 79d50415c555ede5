// db.range: the rules of Python's slices, row by row. `R` stands for a true step.
import assert from "node:assert/strict";
import { test } from "node:test";
import { filled, keysOf, opened } from "./support.ts";

const R = { reverse: true };
type Row = [
  start: string | undefined,
  end: string | undefined,
  options: typeof R | undefined,
  string,
];

const rows: Row[] = [
  ["a", "d", undefined, "a c d"],
  ["a", "e", undefined, "a c d"],
  ["b", "e", undefined, "c d"],
  [undefined, "ccc", undefined, "a c"],
  ["ccc", undefined, undefined, "d f"],
  [undefined, undefined, undefined, "a c d f"],
  ["x", undefined, undefined, ""],
  [undefined, "0", undefined, ""],
  ["b", "b", undefined, ""],
  ["a", "a", undefined, "a"],
  // A start above the end walks downwards.
  ["d", "a", undefined, "d c a"],
  ["e", "b", undefined, "d c"],
  ["d", "a", { reverse: false }, "d c a"],
  // With both ends the step means descending, in either order.
  ["a", "d", R, "d c a"],
  ["d", "a", R, "d c a"],
  // With one end the set stays the same, whatever Python's README says.
  ["ccc", undefined, R, "f d"],
  [undefined, "ccc", R, "c a"],
  ["x", undefined, R, ""],
  [undefined, "x", R, "f d c a"],
  ["0", undefined, R, "f d c a"],
  [undefined, "0", R, ""],
  [undefined, undefined, R, "f d c a"],
];

for (const [start, end, options, expected] of rows) {
  const name = [start, end, options?.reverse].map((part) => JSON.stringify(part) ?? "-").join();
  test(`range(${name}) over "a c d f" is "${expected}"`, () => {
    using open = filled("a c d f");
    assert.equal(keysOf(open.db.range(start, end, options)), expected);
  });
}

test("the empty text is a key, not a missing end", () => {
  using open = opened();
  const { db } = open;
  db.setMany({ "": "empty", a: "A", c: "C", d: "D" });
  assert.deepEqual([...db.range("", "c")].map(([key]) => key), ["", "a", "c"]);
  assert.deepEqual([...db.range("c", "")].map(([key]) => key), ["c", "a", ""]);
});

test("ends of a wrong type are a TypeError", () => {
  using open = filled("a");
  assert.throws(() => open.db.range(1 as never, 5 as never), TypeError);
  assert.throws(() => open.db.range("a", new Uint8Array(1) as never), TypeError);
});
