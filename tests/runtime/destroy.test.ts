// Lsm.destroy: removes databases, and nothing else.
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { Lsm, LsmBusyError } from "../../mod.ts";
import { runProgram } from "./program.ts";
import { failure, place } from "./support.ts";
import type { Place } from "./support.ts";

const door = new URL("../../mod.ts", import.meta.url).href;

/** Runs a program in another process. */
function elsewhere(at: Place, source: string): string {
  const file = at.file("program.ts");
  writeFileSync(
    file,
    `import process from "node:process";
import { Lsm } from ${JSON.stringify(door)};
${source}`,
  );
  const { output, errors } = runProgram(at, file, ["--allow-all"]);
  assert.equal(errors, "");
  return output.trim();
}

test("destroy removes the file and those beside it, and nothing if there is none", () => {
  using at = place();
  new Lsm(at.file()).set("key", "value").close();
  writeFileSync(at.file("test.ldb-log"), "");
  writeFileSync(at.file("test.ldb-shm"), "");
  writeFileSync(at.file("test.ldb2"), "");
  Lsm.destroy(at.file());
  assert.deepEqual(readdirSync(at.folder), ["test.ldb2"]);
  Lsm.destroy(at.file());
  Lsm.destroy(pathToFileURL(at.file()));
  Lsm.destroy(at.file("no/such/folder.ldb"));
});

test("destroy leaves what lies beside a file that is not there", () => {
  using at = place();
  writeFileSync(at.file("server-log"), "precious");
  Lsm.destroy(at.file("server"));
  assert.equal(readFileSync(at.file("server-log"), "utf8"), "precious");
});

test("destroy refuses what is no database, and leaves it as it was", () => {
  using at = place();
  writeFileSync(at.file("letter"), "Dear Ada,\n".repeat(1000));
  writeFileSync(at.file("letter-log"), "precious");
  const error = failure("LSM_NOTADB", () => Lsm.destroy(at.file("letter")));
  assert.match(error.message, /^Cannot destroy ".*letter": the file is not a database/);
  assert.equal(error.op, "destroy");
  mkdirSync(at.file("folder"));
  assert.match(failure("LSM_CANTOPEN", () => Lsm.destroy(at.file("folder"))).message, /directory/);
  assert.deepEqual(readdirSync(at.folder).sort(), ["folder", "letter", "letter-log"]);
  assert.equal(readFileSync(at.file("letter-log"), "utf8"), "precious");
});

test("destroy refuses a database that is open in this thread", () => {
  using at = place();
  using db = new Lsm(at.file());
  for (const write of [() => {}, () => db.set("key", "value"), () => db.begin()]) {
    write();
    const error = failure("LSM_BUSY", () => Lsm.destroy(at.file()));
    assert.ok(error instanceof LsmBusyError);
    assert.equal(error.lock, "open");
    assert.match(
      error.message,
      /^Cannot destroy ".*": it is open in this process\n.*close it first/,
    );
  }
  db.rollback();
  assert.equal(db.get("key"), "value");
  db.set("key", "other").close();
  db.open();
  assert.equal(db.get("key"), "other");
  db.close();
  Lsm.destroy(at.file());
  assert.equal(existsSync(at.file()), false);
});

test("destroy refuses a database that another thread has open", async () => {
  using at = place();
  const worker = new Worker(new URL("./worker_writer.ts", import.meta.url));
  const done = new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  worker.postMessage({ do: "hold", path: at.file() });
  try {
    await done;
    failure("LSM_BUSY", () => Lsm.destroy(at.file()));
    assert.ok(existsSync(at.file()));
  } finally {
    await worker.terminate();
  }
});

test("destroy refuses a database that another process has open, without waiting", () => {
  using at = place();
  using db = new Lsm(at.file());
  db.set("key", "value");
  const output = elsewhere(
    at,
    `const start = performance.now();
    try {
      Lsm.destroy(${JSON.stringify(at.file())});
    } catch (error) {
      console.log(error.code, error.lock, error.op, performance.now() - start < 3000);
      console.log(error.message);
    }`,
  );
  const [first, message] = output.split("\n");
  assert.equal(first, "LSM_BUSY open destroy true");
  assert.match(message ?? "", /^Cannot destroy ".*": another process has the database open/);
  assert.equal(db.get("key"), "value");
  db.set("key", "other");
  db.close();
  db.open();
  assert.equal(db.get("key"), "other");
});

test("destroy removes a database with a log that was not recovered, and one that is damaged", () => {
  using at = place();
  elsewhere(
    at,
    `const db = new Lsm(${JSON.stringify(at.file())});
    db.set("key", "value");
    process.kill(process.pid, "SIGKILL");`,
  );
  assert.deepEqual(readdirSync(at.folder).sort(), ["program.ts", "test.ldb", "test.ldb-log"]);
  Lsm.destroy(at.file());
  assert.deepEqual(readdirSync(at.folder), ["program.ts"]);

  using db = new Lsm(at.file(), { blockSize: 1 << 16 });
  for (let i = 0; i < 3000; i++) db.set(`${i}`, "v".repeat(100));
  db.close();
  truncateSync(at.file(), 1 << 16);
  Lsm.destroy(at.file());
  assert.equal(existsSync(at.file()), false);
});

test("destroy removes a damaged database with its log", () => {
  using at = place();
  elsewhere(
    at,
    `const db = new Lsm(${JSON.stringify(at.file())}, { blockSize: 1 << 16 });
    for (let i = 0; i < 3000; i++) db.set(String(i), "v".repeat(100));
    db.flush();
    db.checkpoint();
    db.set("key", "value");
    process.kill(process.pid, "SIGKILL");`,
  );
  const bytes = readFileSync(at.file());
  bytes.fill(0x5a, 8192);
  writeFileSync(at.file(), bytes);
  Lsm.destroy(at.file());
  assert.deepEqual(readdirSync(at.folder), ["program.ts"]);
});

test("destroy refuses a database that somebody reads, and a symbolic link", () => {
  using at = place();
  new Lsm(at.file()).set("key", "value").close();
  // To make links takes all permissions in Deno.
  const [target, link] = [at.file(), at.file("link")].map((name) => JSON.stringify(name));
  elsewhere(at, `(await import("node:fs")).symlinkSync(${target}, ${link});`);
  failure("LSM_MISUSE", () => Lsm.destroy(at.file("link")));
  using reader = new Lsm(at.file(), { readOnly: true });
  assert.equal(reader.get("key"), "value");
  failure("LSM_BUSY", () => Lsm.destroy(at.file()));
  reader.close();
  Lsm.destroy(at.file());
  assert.deepEqual(readdirSync(at.folder).sort(), ["link", "program.ts"]);
});

test("a refused destroy changes nothing, and no setting", () => {
  using at = place();
  using db = new Lsm(at.file());
  db.set("key", "value");
  const { liveTreeBytes, fileBytes } = db.stats();
  failure("LSM_BUSY", () => Lsm.destroy(at.file()));
  assert.equal(db.stats().liveTreeBytes, liveTreeBytes);
  assert.equal(db.stats().fileBytes, fileBytes);
});

test("nobody writes into a file that is gone", () => {
  using at = place();
  new Lsm(at.file()).set("key", "value").close();
  using reader = new Lsm(at.file(), { readOnly: true });
  assert.equal(reader.get("key"), "value");
  new Lsm(at.file()).set("key", "other").close();
  unlinkSync(at.file());
  assert.match(failure("LSM_CANTOPEN", () => new Lsm(at.file())).message, /leads elsewhere/);
  reader.close();
  using db = new Lsm(at.file());
  assert.equal(db.get("key"), undefined);
});

test("a file that cannot be removed is an LsmError", () => {
  using at = place();
  new Lsm(at.file()).close();
  mkdirSync(at.file("test.ldb-shm/full"), { recursive: true }); // nothing that can be unlinked
  const error = failure("LSM_IOERR", () => Lsm.destroy(at.file()));
  assert.match(error.message, /^Cannot destroy ".*": a file could not be deleted/);
  assert.ok(existsSync(at.file()));
});

test("destroy checks its arguments", () => {
  assert.throws(() => Lsm.destroy(1 as never), TypeError);
  assert.throws(() => Lsm.destroy("x", null as never), TypeError);
  assert.throws(() => Lsm.destroy("x", { libary: "y" } as never), /did you mean library/);
});
