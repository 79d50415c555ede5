// Cursors: movements in both directions, reading from them, iterating along, and their end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LsmClosedError, LsmMisuseError } from "../../mod.ts";
import type { Cursor } from "../../mod.ts";
import { failure, filled, keysOf, opened } from "./support.ts";

const here = (cursor: Cursor<string, string>) => cursor.valid ? cursor.key : "-";

test("a new cursor is on the first entry, or on the last", () => {
  using open = filled("a b c");
  using cursor = open.db.cursor();
  using down = open.db.cursor({ reverse: true });
  assert.equal(cursor.reverse, false);
  assert.deepEqual(cursor.entry, ["a", "A"]);
  assert.equal(down.reverse, true);
  assert.deepEqual([down.key, down.value], ["c", "C"]);
});

test("in an empty database it is on nothing", () => {
  using open = opened();
  using cursor = open.db.cursor();
  assert.equal(cursor.valid, false);
  assert.equal(cursor.first(), false);
  assert.equal(cursor.last(), false);
  assert.equal(cursor.next(), false);
  assert.equal(cursor.prev(), false);
  assert.equal(cursor.seek("a", "ge"), false);
  for (const read of [() => cursor.key, () => cursor.value, () => cursor.entry]) {
    assert.match(failure("LSM_MISUSE", read).message, /on no entry/);
  }
});

test("next and prev are legal after any movement", () => {
  using open = filled("a c e g");
  using cursor = open.db.cursor();
  assert.equal(cursor.next() && cursor.key, "c");
  assert.equal(cursor.prev() && cursor.key, "a");
  cursor.last();
  assert.equal(cursor.prev() && cursor.key, "e");
  assert.equal(cursor.next() && cursor.key, "g");
  for (const mode of ["eq", "le", "ge", "lt", "gt"] as const) {
    const on = mode === "lt" ? "g" : mode === "gt" ? "c" : "e";
    assert.equal(cursor.seek(on, mode), true);
    assert.equal(cursor.key, "e");
    assert.equal(cursor.next() && cursor.key, "g");
    cursor.seek(on, mode);
    assert.equal(cursor.prev() && cursor.key, "c");
  }
});

test("movements off either end say so, and stay off", () => {
  using open = filled("a b");
  using cursor = open.db.cursor();
  assert.deepEqual([cursor.next(), cursor.next(), cursor.next(), cursor.prev()], [
    true,
    false,
    false,
    false,
  ]);
  assert.equal(cursor.valid, false);
  assert.equal(cursor.first(), true);
  assert.equal(cursor.prev(), false);
  assert.equal(cursor.seek("b"), true);
  assert.equal(cursor.key, "b");
});

test("a search that finds nothing leaves it on nothing", () => {
  using open = filled("b d");
  using cursor = open.db.cursor();
  assert.equal(cursor.seek("c"), false);
  assert.equal(cursor.valid, false);
  assert.equal(cursor.seek("a", "le"), false);
  assert.equal(cursor.seek("e", "ge"), false);
  assert.equal(cursor.seek("c", "le") && cursor.key, "b");
  assert.equal(cursor.seek("c", "ge") && cursor.key, "d");
  assert.throws(() => cursor.seek("c", "near" as never), RangeError);
  assert.throws(() => cursor.seek(1 as never), TypeError);
});

test("lefast finds keys, and gives no value", () => {
  using open = filled("a c");
  using cursor = open.db.cursor();
  assert.equal(cursor.seek("c", "lefast"), true);
  assert.equal(cursor.key, "c");
  assert.throws(() => cursor.value, LsmMisuseError);
  assert.throws(() => cursor.entry, LsmMisuseError);
  assert.equal(cursor.seek("c", "le") && cursor.value, "C");
});

test("compare and startsWith look at the current key's bytes", () => {
  using open = filled("b user:1");
  using cursor = open.db.cursor();
  assert.equal(cursor.compare("a"), 1);
  assert.equal(cursor.compare("b"), 0);
  assert.equal(cursor.compare("ba"), -1);
  assert.equal(cursor.startsWith(""), true);
  cursor.next();
  assert.equal(cursor.startsWith("user:"), true);
  assert.equal(cursor.startsWith("user:12"), false);
  cursor.next();
  assert.throws(() => cursor.compare("a"), LsmMisuseError);
  assert.throws(() => cursor.startsWith("a"), LsmMisuseError);
});

test("iterating goes on from the current position, and uses the cursor up", () => {
  using open = filled("a b c d");
  using cursor = open.db.cursor();
  cursor.seek("b");
  assert.equal(keysOf(cursor), "b c d");
  assert.equal(cursor.valid, false);
  assert.equal(keysOf(cursor), "");
  cursor.first();
  assert.deepEqual([...cursor.keys()], ["a", "b", "c", "d"]);
  cursor.last();
  assert.deepEqual([...cursor.values()], ["D"]);
});

test("a loop that breaks leaves the cursor where it was", () => {
  using open = filled("a b c d");
  using cursor = open.db.cursor();
  for (const [key] of cursor) if (key === "b") break;
  assert.equal(cursor.key, "b");
  assert.equal(cursor.isOpen, true);
  assert.equal(cursor.next() && cursor.key, "c");
});

test("a reverse cursor iterates downwards", () => {
  using open = filled("a b c d");
  using cursor = open.db.cursor({ reverse: true });
  assert.equal(keysOf(cursor), "d c b a");
  cursor.seek("bb", "le");
  assert.equal(keysOf(cursor), "b a");
  cursor.first();
  assert.equal(keysOf(cursor), "a", "and from the first entry gives just that");
});

test("until stops behind its key, in the cursor's direction", () => {
  using open = filled("a c e g");
  using up = open.db.cursor();
  assert.equal(keysOf(up.until("e")), "a c e");
  assert.equal(here(up), "g");
  up.seek("c");
  assert.equal(keysOf(up.until("f")), "c e");
  up.seek("c");
  assert.equal(keysOf(up.until("b")), "");
  up.seek("e");
  assert.equal(keysOf(up.until()), "e g");
  using down = open.db.cursor({ reverse: true });
  assert.equal(keysOf(down.until("d")), "g e");
  assert.equal(here(down), "c");
});

test("range names a set, the cursor its order", () => {
  using open = filled("a c e g");
  using up = open.db.cursor();
  using down = open.db.cursor({ reverse: true });
  const rows: [string | undefined, string | undefined, string][] = [
    ["b", "e", "c e"],
    ["e", "b", "c e"],
    ["c", undefined, "c e g"],
    [undefined, "d", "a c"],
    [undefined, undefined, "a c e g"],
    ["x", "z", ""],
    ["", "a", "a"],
  ];
  for (const [start, end, expected] of rows) {
    assert.equal(keysOf(up.range(start, end)), expected);
    assert.equal(keysOf(down.range(start, end)), expected.split(" ").reverse().join(" "));
  }
});

test("outside a transaction it shows the state it was made in, until reset", () => {
  using open = filled("a b c");
  const { db } = open;
  using cursor = db.cursor();
  db.delete("b");
  db.set("d", "D");
  assert.equal(keysOf(cursor), "a b c");
  assert.equal(cursor.reset(), true);
  assert.equal(keysOf(cursor), "a c d");
  db.clear();
  assert.equal(cursor.reset(), false);
});

test("inside a transaction it is live", () => {
  using open = filled("a c e");
  open.db.transaction((tx) => {
    using cursor = tx.cursor();
    tx.set("b", "B");
    assert.equal(cursor.key, "a");
    assert.equal(cursor.next() && cursor.key, "b");
    tx.delete("b").valueOf();
    assert.deepEqual(cursor.entry, ["b", "B"], "a deleted entry stays readable");
    tx.delete("c");
    assert.equal(cursor.next() && cursor.key, "e");
    assert.equal(cursor.prev() && cursor.key, "a");
  });
});

test("it is closed with its transaction", () => {
  using open = filled("a b");
  const { db } = open;
  for (const chain of [false, true]) {
    using tx = db.transaction();
    const cursor = tx.cursor();
    assert.equal(cursor.key, "a");
    tx.rollback({ chain });
    assert.equal(cursor.isOpen, false);
    assert.throws(() => cursor.key, LsmClosedError);
    assert.throws(() => cursor.next(), LsmClosedError);
    assert.equal(cursor.close(), false);
  }
});

test("a cursor outlives nested transactions", () => {
  using open = filled("a b c");
  open.db.transaction((tx) => {
    using cursor = tx.cursor();
    cursor.next();
    tx.transaction((inner) => {
      inner.delete("c");
      inner.rollback();
    });
    assert.equal(cursor.next() && cursor.key, "c");
  });
});

test("close may be called twice, and a closed cursor stays closed", () => {
  using open = filled("a");
  const cursor = open.db.cursor();
  assert.equal(cursor.isOpen, true);
  assert.equal(cursor.close(), true);
  assert.equal(cursor.close(), false);
  assert.equal(cursor.isOpen, false);
  const uses = [
    () => cursor.key,
    () => cursor.valid,
    () => cursor.first(),
    () => [...cursor],
    () => cursor.reset(),
  ];
  for (const use of uses) assert.throws(use, LsmClosedError, String(use));
  assert.equal(cursor.isOpen, false);
});

test("it is closed with its database, also when that is opened again", () => {
  using open = filled("a b");
  const { db } = open;
  const cursor = db.cursor();
  cursor.first();
  db.close();
  assert.equal(cursor.isOpen, false);
  db.open();
  assert.equal(cursor.isOpen, false);
  for (const use of [() => cursor.valid, () => cursor.key, () => cursor.reset()]) {
    assert.throws(use, LsmClosedError, String(use));
  }
  assert.equal(cursor.close(), false);
  using other = db.cursor();
  assert.equal(other.key, "a");
});

test("large entries are read whole", () => {
  using open = opened();
  const { db } = open;
  const sizes = [1, 2_000, 70_000, 5, 500_000];
  db.setMany(sizes.map((size, i) => [String(i), "x".repeat(size)] as const));
  using cursor = db.cursor();
  assert.deepEqual([...cursor.values()].map((value) => value.length), sizes);
  assert.equal(cursor.seek("2") && cursor.value.length, 70_000);
  assert.equal(cursor.prev() && cursor.value.length, 2_000);
});

test("a snapshot and a namespace have cursors of their own", () => {
  using open = filled("a user:1 user:2 z");
  const { db } = open;
  using snapshot = db.snapshot();
  db.delete("a");
  using frozen = snapshot.cursor();
  assert.equal(frozen.key, "a");
  const users = db.namespace("user:");
  using cursor = users.cursor();
  assert.equal(keysOf(cursor), "1 2");
  assert.equal(cursor.last() && cursor.key, "2");
  assert.equal(cursor.next(), false);
  assert.equal(cursor.first() && cursor.key, "1");
  assert.equal(cursor.prev(), false);
  using down = users.cursor({ reverse: true });
  assert.equal(keysOf(down.range()), "2 1");
  assert.equal(down.seek("0", "le"), false);
});
