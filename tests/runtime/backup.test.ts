// Copies of a database in use: what is in them, and what is left when they fail.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { bytes, Lsm, LsmBusyError, LsmClosedError, LsmError, LsmMisuseError } from "../../mod.ts";
import type { Progress } from "../../mod.ts";
import { filled, opened, rejection } from "./support.ts";
import type { Opened } from "./support.ts";

/** A database that takes a while to copy: 20 MB. */
function large(): Opened<string, string> {
  const open = opened();
  const value = "x".repeat(1000);
  open.db.setMany(Array.from({ length: 20_000 }, (_, i) => [key(i), value] as const));
  return open;
}

const key = (i: number) => `k${String(i).padStart(6, "0")}`;

/** Opens a copy, checks it, and gives its entries. */
async function contents(path: string): Promise<[string, string][]> {
  const report = await Lsm.verify(path);
  assert.deepEqual(report.problems, []);
  using db = new Lsm(path, { readOnly: true });
  return [...db];
}

test("a copy holds what was committed, in one segment without a log", async () => {
  using open = filled("a b c");
  const { db, at } = open;
  db.delete("b");
  assert.equal(await db.backup(at.file("copy.ldb")), undefined);
  assert.deepEqual(await contents(at.file("copy.ldb")), [["a", "A"], ["c", "C"]]);
  assert.equal(existsSync(at.file("copy.ldb-log")), false);
  using copy = new Lsm(at.file("copy.ldb"));
  assert.equal(copy.stats().segments, 1);
});

test("a copy of nothing is an empty database", async () => {
  using open = opened();
  await open.db.backup(open.at.file("copy.ldb"));
  assert.deepEqual(await contents(open.at.file("copy.ldb")), []);
});

test("a copy is of the moment it was begun, whatever is written meanwhile", async () => {
  using open = large();
  const { db, at } = open;
  let isDone = false;
  const copying = db.backup(at.file("copy.ldb")).finally(() => isDone = true);
  let writes = 0;
  while (!isDone) {
    db.set(key(writes % 20_000), "new");
    db.set(`new ${writes}`, "new");
    if (writes === 50) db.flush();
    writes++;
    await setImmediate();
  }
  await copying;
  assert.ok(writes > 1, "the thread is free meanwhile");
  assert.equal(db.get("new 0"), "new");
  const copied = await contents(at.file("copy.ldb"));
  assert.equal(copied.length, 20_000);
  assert.ok(copied.every(([name, value], i) => name === key(i) && value.length === 1000));
});

test("what a transaction has not committed is not copied", async () => {
  using open = filled("a b");
  const { db, at } = open;
  using tx = db.transaction();
  tx.set("c", "C");
  await db.backup(at.file("copy.ldb"));
  assert.equal(tx.get("c"), "C", "the transaction goes on");
  tx.commit();
  assert.deepEqual(await contents(at.file("copy.ldb")), [["a", "A"], ["b", "B"]]);
});

test("read-only databases, other codecs, URLs and background threads can be copied, too", async () => {
  using open = filled("a b");
  const { db, at } = open;
  await db.as({ values: bytes }).backup(pathToFileURL(at.file("one.ldb")));
  db.close();
  {
    using reader = new Lsm(at.file(), { readOnly: true });
    await reader.backup(at.file("two.ldb"));
  }
  using writer = new Lsm(at.file(), { background: true, autoFlush: 64 << 10 });
  const copying = writer.backup(at.file("three.ldb"));
  for (let i = 0; i < 2000; i++) writer.set(key(i), "x".repeat(100));
  await copying;
  for (const name of ["one.ldb", "two.ldb", "three.ldb"]) {
    assert.deepEqual(await contents(at.file(name)), [["a", "A"], ["b", "B"]], name);
  }
});

test("the page size of the database is that of its copy", async () => {
  using open = opened({ pageSize: 1024, blockSize: 64 << 10 });
  open.db.set("a", "A");
  await open.db.backup(open.at.file("copy.ldb"));
  using copy = new Lsm(open.at.file("copy.ldb"));
  assert.equal(copy.config.pageSize, 1024);
  assert.equal(copy.config.blockSize, 64 << 10);
});

test("progress grows, is told rarely, and ends with all of it", async () => {
  using open = large();
  const { db, at } = open;
  const seen: Progress[] = [];
  const start = performance.now();
  await db.backup(at.file("copy.ldb"), { onProgress: (progress) => seen.push(progress) });
  const elapsed = performance.now() - start;
  assert.ok(seen.length >= 1 && seen.length <= elapsed / 100 + 2, `${seen.length} calls`);
  const { size } = statSync(at.file("copy.ldb"));
  assert.deepEqual(seen.at(-1), { done: size, total: size, unit: "bytes" });
  for (const [i, { done, total }] of seen.entries()) {
    assert.ok(done <= total && done >= (seen[i - 1]?.done ?? 0));
  }
});

test("a file that is there is left alone, unless it is to be replaced", async () => {
  using open = filled("a");
  const { db, at } = open;
  writeFileSync(at.file("copy.ldb"), "precious");
  const error = await rejection("LSM_CANTOPEN", db.backup(at.file("copy.ldb")));
  assert.match(error.message, /^Cannot back up ".*test\.ldb" to ".*copy\.ldb": the file exists$/m);
  assert.match(error.hint ?? "", /overwrite: true/);
  assert.equal(readFileSync(at.file("copy.ldb"), "utf8"), "precious");
  await db.backup(at.file("copy.ldb"), { overwrite: true });
  assert.deepEqual(await contents(at.file("copy.ldb")), [["a", "A"]]);
  await db.backup(at.file("copy.ldb"), { overwrite: true });
  // A log that lies about would be replayed into the copy.
  writeFileSync(at.file("other.ldb-log"), "precious");
  const other = await rejection("LSM_CANTOPEN", db.backup(at.file("other.ldb")));
  assert.match(other.message, /the log of such a file exists$/m);
});

test("places where there can be no copy are told at once", async () => {
  using open = filled("a");
  const { db, at } = open;
  mkdirSync(at.file("folder"));
  await rejection("LSM_CANTOPEN", db.backup(at.file("folder"), { overwrite: true }));
  await rejection("LSM_CANTOPEN", db.backup(at.file("missing/copy.ldb")));
  const start = performance.now();
  const same = await rejection("LSM_MISUSE", db.backup(at.file(), { overwrite: true }));
  assert.ok(same instanceof LsmMisuseError);
  assert.match(same.message, /source and target are the same file/);
  await rejection("LSM_CANTOPEN", db.backup(at.file()));
  assert.ok(performance.now() - start < 1000, "nobody waits for itself");
  assert.equal(db.get("a"), "A");
});

test("a file that is open is not replaced", async () => {
  using open = filled("a");
  const { db, at } = open;
  using other = new Lsm(at.file("other.ldb"));
  other.set("b", "B");
  db.configure({ busyTimeout: 300 });
  let turns = 0;
  const timer = setInterval(() => turns++, 10);
  const start = performance.now();
  const error = await rejection("LSM_BUSY", db.backup(at.file("other.ldb"), { overwrite: true }));
  clearInterval(timer);
  assert.ok(error instanceof LsmBusyError);
  assert.ok(performance.now() - start >= 250, "it may be closed in time");
  assert.ok(turns >= 2, "waiting does not block this thread");
  assert.equal(error.lock, "open");
  assert.ok(error.waited >= 250 && error.waited < 5000, `waited ${error.waited} ms`);
  assert.ok(error.message.includes(`(waited ${error.waited} ms)`), error.message);
  assert.equal(other.get("b"), "B");
  db.configure({ busyTimeout: 0 });
  const atOnce = await rejection("LSM_BUSY", db.backup(at.file("other.ldb"), { overwrite: true }));
  assert.match(atOnce.message, /\(waited 0 ms\)/);
});

test("a file that is closed in time is replaced", async () => {
  using open = filled("a");
  const { db, at } = open;
  const other = new Lsm(at.file("other.ldb"));
  other.set("b", "B");
  setTimeout(() => other.close(), 30);
  await db.backup(at.file("other.ldb"), { overwrite: true });
  using copy = new Lsm(at.file("other.ldb"));
  assert.equal(copy.get("a"), "A");
});

test("wrong arguments are a TypeError", async () => {
  using open = opened();
  const { db, at } = open;
  const to = at.file("copy.ldb");
  await assert.rejects(db.backup(""), TypeError);
  await assert.rejects(db.backup(7 as never), TypeError);
  await assert.rejects(db.backup("a\0b"), TypeError);
  await assert.rejects(db.backup(to, { overwrite: 1 as never }), TypeError);
  await assert.rejects(db.backup(to, { onProgress: "x" as never }), TypeError);
  await assert.rejects(db.backup(to, { signal: {} as never }), TypeError);
  await assert.rejects(
    db.backup(to, { progress: () => {} } as never),
    /There is no option progress/,
  );
  await assert.rejects(db.backup(to, null as never), TypeError);
  assert.equal(existsSync(to), false);
});

/** After a copy that failed: nothing is left of it, and nothing of it is still open. */
async function expectNothingLeft({ db, at }: Opened<string, string>): Promise<void> {
  const path = at.file("copy.ldb");
  assert.equal(existsSync(path), false);
  if (!db.open()) {
    await db.backup(path);
    assert.equal(existsSync(path), true);
  }
  db.close();
  assert.equal(existsSync(`${at.file()}-log`), false, "it was the last connection");
}

/**
 * Begins copies until one is caught in the middle, where `act` is called; gives its promise. On a busy machine one may
 * have finished before it is looked at, or before it hears of the end: such a copy stays.
 */
async function midway(
  { db, at }: Opened<string, string>,
  act: (controller: AbortController) => void,
): Promise<void> {
  const to = at.file("copy.ldb");
  for (let attempts = 0; attempts < 50; attempts++) {
    const controller = new AbortController();
    const { signal } = controller;
    let isCaught = false;
    const onProgress = ({ done, total }: Progress) => {
      if (done === total) return;
      isCaught = true;
      act(controller);
    };
    const copying = db.backup(to, { overwrite: true, onProgress, signal });
    await copying.catch(() => {});
    if (isCaught && !existsSync(to)) return await copying;
  }
  assert.fail("no copy was caught in the middle");
}

test("a signal ends it with its reason, before and in the middle", async () => {
  using open = large();
  const { db, at } = open;
  const reason = new Error("enough");
  await assert.rejects(
    db.backup(at.file("copy.ldb"), { signal: AbortSignal.abort(reason) }),
    reason,
  );
  assert.equal(existsSync(at.file("copy.ldb")), false);
  await assert.rejects(midway(open, (controller) => controller.abort(reason)), reason);
  await expectNothingLeft(open);
});

test("an abort is heard while the thread sleeps", async () => {
  using open = large();
  const controller = new AbortController();
  const copying = open.db.backup(open.at.file("copy.ldb"), { signal: controller.signal });
  controller.abort();
  await assert.rejects(copying, { name: "AbortError" });
  await expectNothingLeft(open);
});

test("what the callback throws ends it", async () => {
  using open = large();
  const reason = new Error("no more");
  const act = () => {
    throw reason;
  };
  await assert.rejects(midway(open, act), reason);
  await expectNothingLeft(open);
  // A copy that is complete stays.
  open.db.open();
  const onProgress = ({ done, total }: Progress) => {
    if (done === total) throw reason;
  };
  const to = open.at.file("complete.ldb");
  await assert.rejects(open.db.backup(to, { onProgress }), reason);
  assert.equal((await contents(to)).length, 20_000);
});

test("closing the database ends it, and opening it again does not bring it back", async () => {
  using open = large();
  const { db, at } = open;
  const copying = db.backup(at.file("copy.ldb"));
  db.close();
  assert.equal(existsSync(at.file("copy.ldb")), false);
  db.open();
  const error = await rejection("LSM_CLOSED", copying);
  assert.ok(error instanceof LsmClosedError);
  assert.match(error.message, /the database is closed$/);
  await assert.rejects(midway(open, () => db.close()), LsmClosedError);
  await rejection("LSM_CLOSED", db.backup(at.file("copy.ldb")));
  await expectNothingLeft(open);
});

test("several copies go on at a time, and callbacks may use the database", async () => {
  using open = large();
  const { db, at } = open;
  let nested: Promise<void> | undefined;
  const onProgress = () => {
    db.set("seen", String(db.count({ limit: 5 })));
    nested ??= db.backup(at.file("nested.ldb"));
  };
  await Promise.all([
    db.backup(at.file("one.ldb"), { onProgress }),
    db.backup(at.file("two.ldb")),
    rejection("LSM_CANTOPEN", db.backup(at.file("two.ldb"))),
  ]);
  await nested;
  assert.equal(db.get("seen"), "5");
  assert.equal((await contents(at.file("one.ldb"))).length, 20_000);
  assert.equal((await contents(at.file("two.ldb"))).length, 20_000);
  assert.ok((await contents(at.file("nested.ldb"))).length >= 20_000);
});

test("an incomplete copy is not a database", async () => {
  using open = large();
  const { at } = open;
  let half: Uint8Array | undefined;
  const act = (controller: AbortController) => {
    half = readFileSync(at.file("copy.ldb"));
    controller.abort();
  };
  await assert.rejects(midway(open, act));
  writeFileSync(at.file("half.ldb"), half ?? "");
  assert.throws(
    () => new Lsm(at.file("half.ldb")),
    (error) => error instanceof LsmError && error.code === "LSM_NOTADB",
  );
});
