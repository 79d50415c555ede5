// What is forgotten is given back when the collector finds it. Runs where the collector can be called.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lsm, utf8 } from "../../mod.ts";
import { Connection } from "../../src/connection.ts";
import { Cursor } from "../../src/cursor.ts";
import { packedKey, packedValue } from "../../src/packed.ts";
import { SnapshotView } from "../../src/snapshot.ts";
import { opened, place } from "./support.ts";

const scope = globalThis as { Bun?: { gc(force: boolean): void }; gc?: () => void };
const collect = scope.Bun === undefined ? scope.gc : () => scope.Bun?.gc(true);
const skip = collect === undefined;

/** Collects until `isDone`, or gives up after some rounds. */
async function collectUntil(isDone: () => boolean, rounds = 50): Promise<void> {
  for (let i = 0; i < rounds && !isDone(); i++) {
    collect?.();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test("forgotten iterators, cursors and snapshots are ended", { skip }, async () => {
  using open = opened();
  const { db } = open;
  db.setMany(Array.from({ length: 2000 }, (_, i) => [`key ${i}`, "value"] as const));
  const forget = () => {
    for (let i = 0; i < 100; i++) {
      db.entries().next();
      db.snapshot();
      db.cursor().first();
    }
  };
  forget();
  assert.ok(db.stats().openSnapshots > 0);
  await collectUntil(() => db.stats().openSnapshots === 0);
  assert.equal(db.stats().openSnapshots, 0);
});

test("a forgotten child of a snapshot leaves no number behind", { skip }, async () => {
  using at = place();
  const connection = new Connection(at.file(), [], undefined);
  connection.open();
  const view = new SnapshotView(connection);
  const source = { view, keys: packedKey(utf8), values: packedValue(utf8) };
  const forget = () => {
    for (let i = 0; i < 100; i++) new Cursor(source, false).first();
  };
  forget();
  assert.equal(view.children.size, 100);
  await collectUntil(() => view.children.size === 0);
  assert.equal(view.children.size, 0);
  connection.close();
});

test("an iterator in use keeps its database", { skip }, async () => {
  using at = place();
  const make = () => {
    const db = new Lsm(at.file());
    db.setMany(Array.from({ length: 2000 }, (_, i) => [`key ${i}`, "value"] as const));
    return db.entries();
  };
  const iterator = make();
  await collectUntil(() => false, 5);
  assert.equal([...iterator].length, 2000);
});

test("a forgotten database is closed", { skip }, async () => {
  using at = place();
  const forget = () => {
    const db = new Lsm(at.file());
    db.set("a", "1");
    db.begin(); // holds the writer lock
  };
  forget();
  using db = new Lsm(at.file(), { busyTimeout: 0 });
  const isFree = () => {
    try {
      db.set("b", "2");
      return true;
    } catch {
      return false;
    }
  };
  await collectUntil(isFree);
  assert.equal(isFree(), true);
  assert.equal(db.get("a"), "1");
});
