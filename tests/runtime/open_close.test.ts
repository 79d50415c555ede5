// Opening and closing: constructor, open, close, using, and what each leaves on disk.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, normalize } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { Lsm, LsmBusyError, LsmClosedError } from "../../mod.ts";
import { failure, opened, place } from "./support.ts";

const skip = process.platform === "win32" ? "the system takes paths apart there" : false;

test("the constructor creates and opens", () => {
  using at = place();
  using db = new Lsm(at.file());
  assert.equal(db.isOpen, true);
  assert.equal(db.path, at.file());
  db.set("key", "value");
});

test("open: false leaves the disk alone", () => {
  using at = place();
  using db = new Lsm(at.file(), { open: false });
  assert.equal(db.isOpen, false);
  assert.deepEqual(readdirSync(at.folder), []);
  assert.equal(db.open(), true);
  assert.equal(db.open(), false);
  assert.equal(db.isOpen, true);
});

test("close may be called twice, and open again", () => {
  using at = place();
  const db = new Lsm(at.file(), { pageSize: 1024 });
  db.set("key", "value");
  assert.equal(db.close(), true);
  assert.equal(db.close(), false);
  assert.equal(db.isOpen, false);
  assert.equal(db.open(), true);
  assert.equal(db.get("key"), "value");
  assert.equal(db.config.pageSize, 1024);
  db.close();
});

test("using closes", () => {
  using at = place();
  let kept: Lsm;
  {
    using db = new Lsm(at.file());
    kept = db;
  }
  assert.equal(kept.isOpen, false);
});

test("content survives closing", () => {
  using at = place();
  {
    using db = new Lsm(at.file());
    for (let i = 0; i < 1000; i++) db.set(`key ${i}`, `value ${i}`);
  }
  using db = new Lsm(at.file());
  assert.equal(db.count(), 1000);
  assert.equal(db.get("key 999"), "value 999");
});

test("after the last close only the file itself is left", () => {
  using at = place();
  const db = new Lsm(at.file("x.ldb"));
  db.set("key", "value");
  db.close();
  assert.deepEqual(readdirSync(at.folder), ["x.ldb"]);
});

test("a file: URL is a path", () => {
  using at = place();
  using db = new Lsm(pathToFileURL(at.file("with blank.ldb")));
  assert.equal(db.path, at.file("with blank.ldb"));
  assert.ok(existsSync(at.file("with blank.ldb")));
});

test("a relative path is that of the working directory of the time, for good", () => {
  using at = place();
  mkdirSync(at.file("other"));
  const before = process.cwd();
  try {
    process.chdir(at.folder);
    const folder = process.cwd(); // the temporary folder may be a link
    using db = new Lsm("./test.ldb");
    const { path } = db;
    assert.equal(normalize(path), join(folder, "test.ldb"));
    db.set("key", "value");
    db.close();
    process.chdir("other");
    db.open();
    assert.equal(db.get("key"), "value");
    assert.equal(db.path, path);
    assert.deepEqual(readdirSync("."), []);
    using late = new Lsm("../test.ldb", { open: false });
    process.chdir(before);
    late.open();
    assert.equal(late.get("key"), "value");
    assert.equal(failure("LSM_NOTFOUND", () => late.getOrThrow("x")).path, late.path);
  } finally {
    process.chdir(before);
  }
});

test("a path has no empty parts and no dots, but keeps what may mean something", { skip }, () => {
  const at = (path: string) => new Lsm(path, { open: false }).path;
  assert.equal(at("/dir/./x.ldb"), "/dir/x.ldb");
  assert.equal(at("/dir/sub//x.ldb"), "/dir/sub/x.ldb");
  assert.equal(at("//dir/.//./x.ldb"), "/dir/x.ldb");
  assert.equal(at("/dir/link/../x.ldb"), "/dir/link/../x.ldb");
  assert.equal(at("/dir/.../.x.ldb"), "/dir/.../.x.ldb");
  assert.equal(at("/dir/x.ldb/"), "/dir/x.ldb/", "a folder, if anything");
  assert.equal(at("/dir/x.ldb/."), "/dir/x.ldb/");
  assert.equal(at("./sub/./x.ldb"), join(process.cwd(), "sub/x.ldb"));
  using folder = place();
  using db = new Lsm(`${folder.folder}/.//x.ldb`);
  db.set("a", "1");
  assert.equal(db.path, folder.file("x.ldb"));
  assert.ok(existsSync(db.path));
  const link = folder.file("link");
  mkdirSync(folder.file("other/inner"), { recursive: true });
  spawnSync("ln", ["-s", folder.file("other/inner"), link]); // Deno's own way takes all permissions
  new Lsm(`${link}/../y.ldb`).close();
  assert.ok(existsSync(folder.file("other/y.ldb")), "the folder above the link's target");
  failure("LSM_CANTOPEN", () => new Lsm(`${folder.file("x.ldb")}/.`, { createIfMissing: false }));
});

test("what is no path is a TypeError", () => {
  for (const path of [1, null, undefined, {}, "", "a\0b", "\ud800", new URL("https://x/")]) {
    assert.throws(() => new Lsm(path as string), TypeError);
  }
});

test("a missing folder cannot be opened, and the message names the path", () => {
  using at = place();
  const error = failure("LSM_CANTOPEN", () => new Lsm(at.file("no/such/folder.ldb")));
  assert.ok(error.message.includes(at.file("no/such/folder.ldb")));
  assert.match(error.message, /^Cannot open ".*": no such file or directory/);
  assert.equal(error.op, "open");
  assert.equal(error.path, at.file("no/such/folder.ldb"));
});

test("a folder cannot be opened", () => {
  using at = place();
  mkdirSync(at.file("folder"));
  assert.match(failure("LSM_CANTOPEN", () => new Lsm(at.file("folder"))).message, /directory/);
});

test("another kind of file is refused, and left as it was", () => {
  using at = place();
  const text = "this is no database\n".repeat(1000);
  writeFileSync(at.file(), text);
  failure("LSM_NOTADB", () => new Lsm(at.file()));
  assert.equal(readFileSync(at.file(), "utf8"), text);
});

test("an empty file is an empty database", () => {
  using at = place();
  writeFileSync(at.file(), "");
  using db = new Lsm(at.file());
  assert.equal(db.count(), 0);
});

test("createIfMissing: false and readOnly create nothing", () => {
  using at = place();
  failure("LSM_CANTOPEN", () => new Lsm(at.file(), { createIfMissing: false }));
  failure("LSM_CANTOPEN", () => new Lsm(at.file(), { readOnly: true }));
  assert.deepEqual(readdirSync(at.folder), []);
});

test("errorIfExists refuses a file that is there", () => {
  using at = place();
  new Lsm(at.file(), { errorIfExists: true }).close();
  const error = failure("LSM_CANTOPEN", () => new Lsm(at.file(), { errorIfExists: true }));
  assert.match(error.message, /exists/);
});

test("readOnly reads, and refuses to write", () => {
  using at = place();
  new Lsm(at.file()).set("key", "value").close();
  using db = new Lsm(at.file(), { readOnly: true });
  assert.equal(db.get("key"), "value");
  failure("LSM_READONLY", () => db.set("key", "other"));
  failure("LSM_READONLY", () => db.begin());
  assert.equal(db.transactionDepth, 0);
});

test("a failed opening can be tried again", () => {
  using at = place();
  using db = new Lsm(at.file("later/test.ldb"), { open: false });
  failure("LSM_CANTOPEN", () => db.open());
  assert.equal(db.isOpen, false);
  mkdirSync(at.file("later"));
  assert.equal(db.open(), true);
});

test("everything on a closed database is LSM_CLOSED", () => {
  const { db, at } = opened();
  using _ = at;
  const cursor = db.cursor();
  const snapshot = db.snapshot();
  const iterator = db.entries();
  const other = db.as({});
  const users = db.namespace("user:");
  db.close();
  const uses: (() => unknown)[] = [
    () => db.get("a"),
    () => db.has("a"),
    () => db.set("a", "b"),
    () => db.delete("a"),
    () => db.getMany(["a"]),
    () => db.getMany([]),
    () => db.setMany({ a: "b" }),
    () => db.setMany({}),
    () => db.batch([]),
    () => db.deleteRange({ gt: "a" }),
    () => db.clear(),
    () => db.incr("a"),
    () => db.incr("a", 1n),
    () => db.getOrInsert("a", "b"),
    () => db.compareAndSet("a", "b", "c"),
    () => db.seek("a", "le"),
    () => db.first(),
    () => db.last(),
    () => db.entries(),
    () => db.keys({ limit: 0 }),
    () => db.values(),
    () => db.range("a", "b"),
    () => db.forEach(() => {}),
    () => db.count(),
    () => db.count({ limit: 0 }),
    () => db.cursor(),
    () => db.snapshot(),
    () => db.transaction(),
    () => db.transaction(() => {}),
    () => db.begin(),
    () => db.commit(),
    () => db.rollback(),
    () => db.flush(),
    () => db.work(),
    () => db.checkpoint(),
    () => db.optimize(),
    () => db.stats(),
    () => db.structure(),
    () => db.config,
    () => db.configure({ safety: "off" }),
    () => db.userVersion,
    () => (db.userVersion = 1),
    () => cursor.key,
    () => cursor.next(),
    () => cursor.reset(),
    () => snapshot.get("a"),
    () => iterator.next(),
    () => other.get("a"),
    () => users.get("a"),
  ];
  for (const use of uses) assert.throws(use, LsmClosedError, String(use));
});

test("a database that was never opened is LSM_CLOSED, too", () => {
  using at = place();
  const db = new Lsm(at.file(), { open: false });
  failure("LSM_CLOSED", () => db.get("a"));
  failure("LSM_CLOSED", () => db.set("a", "b"));
  assert.equal(db.transactionDepth, 0);
  assert.equal(db.close(), false);
});

test("closing ends what was opened from it", () => {
  using at = place();
  const db = new Lsm(at.file());
  db.setMany({ a: "1", b: "2" });
  const cursor = db.cursor();
  const snapshot = db.snapshot();
  const iterator = db.entries();
  iterator.next();
  db.begin();
  db.set("c", "3");
  assert.equal(db.close(), true);
  assert.equal(cursor.isOpen, false);
  assert.equal(snapshot.isOpen, false);
  assert.equal(cursor.close(), false);
  assert.equal(snapshot.close(), false);
  assert.equal(db.transactionDepth, 0);
  assert.equal(db.open(), true);
  assert.equal(db.has("c"), false, "the open transaction was rolled back");
  assert.throws(() => iterator.next(), LsmClosedError, "also after opening again");
  assert.throws(() => cursor.next(), LsmClosedError);
  assert.throws(() => snapshot.get("a"), LsmClosedError);
  assert.equal(snapshot.isOpen, false);
  db.close();
});

test("two objects on one file see each other's commits", () => {
  using at = place();
  using one = new Lsm(at.file());
  using two = new Lsm(at.file());
  one.set("key", "1");
  assert.equal(two.get("key"), "1");
  two.set("key", "2");
  assert.equal(one.get("key"), "2");
});

test("waiting for one's own thread fails at once, and says so", () => {
  using at = place();
  using one = new Lsm(at.file());
  using two = new Lsm(at.file());
  one.begin();
  const start = performance.now();
  const error = failure("LSM_BUSY", () => two.set("key", "value"));
  assert.ok(performance.now() - start < 2000);
  assert.ok(error instanceof LsmBusyError);
  assert.equal(error.lock, "writer");
  assert.match(error.message, /this thread/);
  assert.equal(two.get("key"), undefined, "reading never waits");
  one.rollback();
  two.set("key", "value");
});

test("destroy removes the file and those beside it", () => {
  using at = place();
  new Lsm(at.file()).close();
  writeFileSync(at.file("test.ldb-log"), "");
  Lsm.destroy(at.file());
  assert.deepEqual(readdirSync(at.folder), []);
  Lsm.destroy(at.file());
});

test("an Lsm cannot be posted to a worker", () => {
  using open = opened();
  assert.throws(() => structuredClone(open.db), { name: "DataCloneError" });
});
