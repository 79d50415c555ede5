// Verification: sound files, damaged ones, and what is not a file of ours.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Lsm, LsmClosedError, LsmCorruptError } from "../../mod.ts";
import type { Progress } from "../../mod.ts";
import { filled, opened, place, rejection } from "./support.ts";
import type { Opened } from "./support.ts";

const PAGE = 4096;
const COUNT = 20_000;

/** A database of 20 MB, all of it in the file. */
function large(): Opened<string, string> {
  const open = opened();
  const value = "x".repeat(1000);
  open.db.setMany(Array.from({ length: COUNT }, (_, i) => [`k${i}`, value] as const));
  open.db.flush();
  return open;
}

/** Changes one byte of a file. */
function damage(path: string, at: number, value: number): void {
  const content = readFileSync(path);
  content[at] = value;
  writeFileSync(path, content);
}

test("a sound database has no problems, and its figures are those of the file", async () => {
  using open = filled("a b c");
  const { db } = open;
  const empty = { ok: true, problems: [], problemCount: 0, records: 0, segments: 0, pages: 0 };
  assert.deepEqual(await db.verify(), empty, "all is in memory still");
  db.flush();
  assert.deepEqual(await db.verify(), { ...empty, records: 3, segments: 1, pages: 1 });
  db.delete("b");
  db.flush();
  const report = await db.verify();
  assert.ok(report.ok && report.records >= 3, "a deleted entry may be a record");
});

test("progress ends with all of it; each byte counts twice", async () => {
  using open = large();
  const seen: Progress[] = [];
  const { pages } = await open.db.verify({ onProgress: (progress) => seen.push(progress) });
  const last = seen.at(-1);
  assert.equal(last?.done, last?.total);
  assert.ok((last?.total ?? 0) > 2 * COUNT * 1000 && (last?.total ?? 0) <= 2 * pages * PAGE);
  assert.equal(last?.unit, "bytes");
});

test("reading and writing go on meanwhile", async () => {
  using open = large();
  const { db } = open;
  let isDone = false;
  const verifying = db.verify().finally(() => isDone = true);
  let writes = 0;
  while (!isDone) {
    db.set(`k${writes++}`, "new");
    if (writes % 100 === 0) db.flush();
    await setImmediate();
  }
  const { ok, records } = await verifying;
  assert.ok(ok);
  assert.equal(records, COUNT);
  assert.ok(writes > 1);
  assert.equal(db.get("k0"), "new");
});

test("a transaction and a background thread do not hinder it", async () => {
  using open = opened({ background: true, autoFlush: 64 << 10 });
  const { db } = open;
  for (let i = 0; i < 3000; i++) db.set(`k${i}`, "x".repeat(100));
  using tx = db.transaction();
  tx.set("a", "A");
  assert.ok((await db.verify()).ok);
  assert.equal(tx.get("a"), "A");
});

test("damage is reported with its page, and is not thrown", async () => {
  using at = place();
  {
    using db = new Lsm(at.file());
    db.setMany(Array.from({ length: 500 }, (_, i) => [`k${i}`, "x".repeat(100)] as const));
  }
  damage(at.file(), 3 * PAGE + PAGE - 2, 0xff); // cells of page 4
  const before = createHash("sha256").update(readFileSync(at.file())).digest("hex");
  const report = await Lsm.verify(at.file());
  assert.equal(report.ok, false);
  assert.equal(report.problemCount, report.problems.length);
  assert.deepEqual(report.problems[0], {
    page: 4,
    reason: "level 0: page: more cells than fit",
  });
  assert.equal(createHash("sha256").update(readFileSync(at.file())).digest("hex"), before);
  assert.equal(existsSync(`${at.file()}-log`), false);
  using db = new Lsm(at.file(), { readOnly: true });
  assert.deepEqual(await db.verify(), report);
  // What reads find there names the page, too.
  assert.throws(
    () => [...db],
    (error) => error instanceof LsmCorruptError && error.page === 4 && /cells/.test(error.reason),
  );
  await assert.rejects(
    db.backup(at.file("copy.ldb")),
    (error) => error instanceof LsmCorruptError && error.page === 4,
  );
  assert.equal(existsSync(at.file("copy.ldb")), false);
});

test("a file whose head is damaged, or that is no database, gets a report", async () => {
  using at = place();
  {
    using db = new Lsm(at.file());
    db.set("a", "A");
  }
  damage(at.file(), 100, 0xff);
  damage(at.file(), PAGE + 100, 0xff);
  writeFileSync(at.file("poem.txt"), "The woods are lovely, dark and deep");
  for (const name of ["test.ldb", "poem.txt"]) {
    const report = await Lsm.verify(at.file(name));
    assert.equal(report.ok, false);
    assert.equal(report.problemCount, 1);
    assert.match(report.problems[0]?.reason ?? "", /not a database/);
  }
});

test("a file that cannot be read at all is an error, and is not created", async () => {
  using at = place();
  await rejection("LSM_CANTOPEN", Lsm.verify(at.file()));
  assert.equal(existsSync(at.file()), false);
  await rejection("LSM_CANTOPEN", Lsm.verify(at.folder));
  await assert.rejects(Lsm.verify(""), TypeError);
  await assert.rejects(Lsm.verify(at.file(), { progress: 1 } as never), TypeError);
  await assert.rejects(Lsm.verify(at.file(), { library: 1 as never }), TypeError);
});

test("a file that is open here can be verified by its name", async () => {
  using open = filled("a b");
  open.db.flush();
  const report = await Lsm.verify(pathToFileURL(open.at.file()));
  assert.deepEqual([report.ok, report.records], [true, 2]);
});

test("a compressed file cannot be read from here: it needs functions in C", async () => {
  const golden = fileURLToPath(new URL("../compat/golden", import.meta.url));
  await rejection("LSM_MISMATCH", Lsm.verify(`${golden}/packed.db`));
});

test("a signal, a callback that throws, and closing end it", async () => {
  using open = large();
  const { db, at } = open;
  const reason = new Error("enough");
  await assert.rejects(db.verify({ signal: AbortSignal.abort(reason) }), reason);
  const controller = new AbortController();
  const aborted = db.verify({ signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(aborted, reason);
  const onProgress = () => {
    throw reason;
  };
  await assert.rejects(db.verify({ onProgress }), reason);
  const verifying = db.verify();
  db.close();
  await assert.rejects(verifying, LsmClosedError);
  await rejection("LSM_CLOSED", db.verify());
  assert.equal(existsSync(`${at.file()}-log`), false, "it was the last connection");
});
