// Flush, work, checkpoint, optimize, figures and structure.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ABI } from "../../ffi/frames.ts";
import { version } from "../../mod.ts";
import { parseStructure } from "../../src/maintenance.ts";
import { filled, opened, place } from "./support.ts";
import { Lsm } from "../../mod.ts";

test("content is the same after flush, work, checkpoint and optimize", () => {
  using open = opened({ autoWork: false });
  const { db } = open;
  const entries: [string, string][] = Array.from({ length: 500 }, (_, i) => [
    String(i).padStart(4, "0"),
    "x".repeat(i),
  ]);
  for (let i = 0; i < 500; i += 100) {
    db.setMany(entries.slice(i, i + 100));
    db.flush();
  }
  assert.deepEqual([...db], entries);
  assert.ok(db.stats().segments >= 1);
  assert.equal(typeof db.work({ merge: 2, limit: 1 << 20 }), "number");
  assert.deepEqual([...db], entries);
  assert.equal(typeof db.checkpoint(), "number");
  assert.equal(db.checkpoint(), 0, "nothing is left to do");
  assert.equal(typeof db.optimize(), "number");
  assert.deepEqual([...db], entries);
  assert.equal(db.work(), 0, "nothing is left to do");
});

test("flush does not mind open iterators and snapshots", () => {
  using open = filled("a b c");
  const { db } = open;
  using snapshot = db.snapshot();
  const iterator = db.entries();
  iterator.next();
  db.flush();
  db.work();
  db.checkpoint();
  assert.equal(iterator.next().value?.[0], "b");
  assert.equal(snapshot.count(), 3);
});

test("wrong options of work are a RangeError", () => {
  using open = opened();
  const options: Record<string, unknown>[] = [
    { merge: 0 },
    { merge: 1.5 },
    { limit: 0 },
    { limit: -1 },
    { limit: NaN },
    { limit: "1" },
  ];
  for (const option of options) assert.throws(() => open.db.work(option as never), RangeError);
  assert.equal(open.db.work({ limit: Infinity }), 0);
});

test("stats are whole numbers", () => {
  using open = filled("a b");
  const stats = open.db.stats();
  for (const [name, value] of Object.entries(stats)) {
    assert.ok(Number.isSafeInteger(value) && value >= 0, name);
  }
  assert.equal(stats.pageSize, 4096);
  assert.equal(stats.blockSize, 1 << 20);
});

test("structure lists levels, free blocks and the log", () => {
  using open = filled("a b");
  const { db } = open;
  db.flush();
  const { levels, log } = db.structure();
  assert.equal(levels.length, 1);
  const [segment] = levels[0]?.segments ?? [];
  assert.ok(segment && segment.pages >= 1 && segment.last >= segment.first);
  assert.equal(log.length, 6);
});

test("the engine's texts are parsed", () => {
  assert.deepEqual(
    parseStructure(
      "{0 {2 17 17 16}} {1 {257 300 299 44} {600 610 0 11}}",
      "{4 12} {9 9007199254740993}",
      "0 0 0 10 20 1234",
    ),
    {
      levels: [
        { age: 0, segments: [{ first: 2, last: 17, root: 17, pages: 16 }] },
        {
          age: 1,
          segments: [
            { first: 257, last: 300, root: 299, pages: 44 },
            { first: 600, last: 610, root: 0, pages: 11 },
          ],
        },
      ],
      free: [{ block: 4, snapshot: 12n }, { block: 9, snapshot: 9007199254740993n }],
      log: [0, 0, 0, 10, 20, 1234],
    },
  );
  assert.deepEqual(parseStructure("", "", ""), { levels: [], free: [], log: [] });
});

test("the user version is a number of 32 bits, shared by connections", () => {
  using at = place();
  using one = new Lsm(at.file());
  using two = new Lsm(at.file());
  assert.equal(one.userVersion, 0);
  one.userVersion = 0xffff_ffff;
  assert.equal(two.userVersion, 0xffff_ffff);
  for (const wrong of [-1, 0.5, 2 ** 32, NaN]) {
    assert.throws(() => (one.userVersion = wrong), RangeError);
  }
  assert.throws(() => (one.userVersion = "1" as never), TypeError);
});

test("version tells what is in use", () => {
  assert.match(version.binding, /^\d+\.\d+\.\d+$/);
  assert.equal(version.abi, ABI);
  assert.match(version.library, /lsm/);
});
