// Snapshots: frozen, readable in every way, counted, and closed with their database.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Handle } from "../../ffi/native.ts";
import { Lsm, LsmClosedError, utf8 } from "../../mod.ts";
import { Connection } from "../../src/connection.ts";
import { Cursor } from "../../src/cursor.ts";
import { LsmIterator } from "../../src/iterator.ts";
import { packedKey, packedValue } from "../../src/packed.ts";
import { resolveRange } from "../../src/range.ts";
import { Scan } from "../../src/scan.ts";
import { SnapshotView } from "../../src/snapshot.ts";
import { failure, filled, keysOf, opened, place } from "./support.ts";

test("a snapshot does not see later commits", () => {
  using open = filled("a b c");
  const { db } = open;
  using snapshot = db.snapshot();
  db.set("a", "new").delete("b");
  db.set("d", "D");
  db.flush();
  assert.equal(snapshot.get("a"), "A");
  assert.equal(snapshot.has("b"), true);
  assert.equal(snapshot.has("d"), false);
  assert.deepEqual(snapshot.getMany(["a", "d"]), ["A", undefined]);
  assert.deepEqual(snapshot.getMany(["bb"], { seek: "le" }), ["B"]);
  assert.deepEqual(snapshot.seek("bb", "le"), ["b", "B"]);
  assert.deepEqual(snapshot.first(), ["a", "A"]);
  assert.deepEqual(snapshot.last(), ["c", "C"]);
  assert.equal(snapshot.count(), 3);
  assert.equal(keysOf(snapshot), "a b c");
  assert.equal(keysOf(snapshot.entries({ gt: "a", reverse: true })), "c b");
  assert.equal(keysOf(db), "a c d");
});

test("a snapshot taken inside a transaction shows the last commit", () => {
  using open = filled("a");
  const { db } = open;
  db.transaction((tx) => {
    tx.set("b", "B");
    using snapshot = db.snapshot();
    assert.equal(keysOf(snapshot), "a");
    assert.equal(keysOf(tx), "a b");
  });
});

test("iterators of a snapshot end with it", () => {
  using open = filled("a b c");
  const snapshot = open.db.snapshot();
  const iterator = snapshot.entries();
  iterator.next();
  assert.equal(snapshot.close(), true);
  assert.equal(snapshot.close(), false);
  assert.equal(snapshot.isOpen, false);
  assert.throws(() => iterator.next(), LsmClosedError);
  assert.throws(() => snapshot.get("a"), LsmClosedError);
});

test("cursors of a snapshot end with it", () => {
  using open = filled("a b c");
  const snapshot = open.db.snapshot();
  const cursor = snapshot.cursor();
  assert.equal(cursor.next(), true);
  snapshot.close();
  assert.equal(cursor.isOpen, false);
  for (const use of [() => cursor.key, () => cursor.valid, () => cursor.first()]) {
    assert.match(failure("LSM_CLOSED", use).message, /the snapshot is closed/);
  }
  assert.throws(() => cursor.reset(), LsmClosedError);
  assert.equal(cursor.close(), false);
});

test("a snapshot that is closed pins nothing, whatever was opened from it", () => {
  using open = opened();
  const { db } = open;
  db.setMany(Array.from({ length: 3000 }, (_, i) => [String(i), "value"] as const));
  const snapshot = db.snapshot();
  const cursor = snapshot.cursor();
  const iterator = snapshot.entries();
  iterator.next();
  const done = snapshot.cursor();
  done.close();
  db.set("a", "A");
  snapshot.close();
  assert.equal(db.stats().openSnapshots, 0);
  assert.throws(() => iterator.next(), LsmClosedError);
  using later = db.snapshot();
  using laterCursor = later.cursor();
  cursor.close();
  assert.equal(laterCursor.first(), true, "what is closed again belongs to nobody else");
});

/** A snapshot seen from inside, and what opens from it. */
function inside(connection: Connection) {
  const view = new SnapshotView(connection);
  const source = { view, keys: packedKey(utf8), values: packedValue(utf8) };
  const bounds = resolveRange(undefined, source.keys);
  return {
    view,
    cursor: () => new Cursor(source, false),
    iterator: () => new LsmIterator(new Scan(source, bounds, "entries")),
  };
}

/** A connection to a database whose entries are more than one block. */
function connected(path: string): Connection {
  {
    using db = new Lsm(path);
    db.setMany(Array.from({ length: 3000 }, (_, i) => [`key ${i}`, "value"] as const));
  }
  const connection = new Connection(path, [], undefined);
  connection.open();
  return connection;
}

test("a snapshot keeps the numbers of what is open, and no others", () => {
  using at = place();
  const connection = connected(at.file());
  const { view, cursor, iterator } = inside(connection);
  const [one, two] = [cursor(), iterator()];
  two.next();
  assert.equal(view.children.size, 2);
  one.close();
  two.return();
  assert.equal(view.children.size, 0);
  assert.equal(iterator().toArray().length, 3000);
  assert.equal(view.children.size, 0);
  const moved = cursor();
  moved.reset();
  assert.equal(view.children.size, 1);
  view.close();
  assert.equal(view.children.size, 0);
  connection.close();
});

test("what ended with its snapshot, or with the database, is not ended again", () => {
  using at = place();
  const connection = connected(at.file());
  const ended: Handle[] = [];
  const { native } = connection;
  const { end } = native;
  const counting = { ...native, end: (handle: Handle) => (ended.push(handle), end(handle)) };
  Object.defineProperty(connection, "native", { value: counting });
  {
    const { view, cursor, iterator } = inside(connection);
    const [one, two] = [cursor(), iterator()];
    two.next();
    view.close();
    assert.equal(ended.length, 3);
    one.close();
    two.return();
    assert.equal(new Set(ended).size, ended.length, "by their numbers, which may be in use again");
  }
  {
    const { view, cursor } = inside(connection);
    const one = cursor();
    ended.length = 0;
    connection.close();
    connection.open();
    assert.equal(view.close(), false);
    one.close();
    assert.deepEqual(ended, []);
  }
  connection.close();
});

test("snapshots are counted, and given back", () => {
  using open = filled("a");
  const { db } = open;
  {
    using one = db.snapshot();
    db.set("b", "B");
    using two = db.snapshot();
    assert.equal(db.stats().openSnapshots >= 1, true);
    assert.equal(one.count() + two.count(), 3);
  }
  assert.equal(db.stats().openSnapshots, 0);
});

test("a flush of nothing does not make a later version look like this one", () => {
  using open = opened();
  const { db } = open;
  using snapshot = db.snapshot();
  db.flush();
  db.set("a", "1");
  assert.equal(keysOf(db), "a");
  assert.equal(keysOf(snapshot), "");
  using later = db.snapshot();
  assert.equal(keysOf(later), "a");
});
