// Threads: each worker opens the file for itself; one that is terminated leaves no lock behind.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { Lsm, LsmBusyError } from "../../mod.ts";
import { type Outcome, runProgram } from "./program.ts";
import { type Place, place } from "./support.ts";
import type { Job } from "./worker_writer.ts";

/** Starts a worker on a job; `done` settles when it has done it, or has failed. */
function start(job: Job): { worker: Worker; done: Promise<void> } {
  const worker = new Worker(new URL("./worker_writer.ts", import.meta.url));
  const done = new Promise<void>((resolve, reject) => {
    worker.once("message", () => resolve());
    worker.once("error", reject);
  });
  worker.postMessage(job);
  return { worker, done };
}

async function finish(jobs: readonly Job[]): Promise<void> {
  const started = jobs.map(start);
  try {
    await Promise.all(started.map(({ done }) => done));
  } finally {
    await Promise.all(started.map(({ worker }) => worker.terminate()));
  }
}

test("eight workers write at once, and nothing is lost", async () => {
  using at = place();
  using db = new Lsm(at.file());
  const path = at.file();
  const keys = (n: number) => Array.from({ length: 10 }, (_, i) => `k${n}${i}`);
  await finish(Array.from({ length: 8 }, (_, n) => ({ do: "write", path, keys: keys(n) })));
  assert.equal(db.count(), 80);
  assert.equal(db.first()?.[0], "k00");
  assert.equal(db.last()?.[0], "k79");
});

test("incr loses no step between threads", async () => {
  using at = place();
  using db = new Lsm(at.file());
  await finish(Array.from({ length: 4 }, () => ({ do: "incr", path: at.file(), times: 50 })));
  assert.equal(db.incr("n", 0), 200);
});

// DF-35
test("a lock held by another thread is waited for, and named", async () => {
  using at = place();
  using db = new Lsm(at.file(), { busyTimeout: 200 });
  const { worker, done } = start({ do: "hold", path: at.file() });
  try {
    await done;
    const begin = performance.now();
    assert.throws(() => db.set("key", "value"), (error) => {
      assert.ok(error instanceof LsmBusyError);
      assert.equal(error.lock, "writer");
      assert.ok(error.waited >= 150, `waited ${error.waited}`);
      return true;
    });
    assert.ok(performance.now() - begin >= 150);
    assert.equal(db.get("held"), undefined);
  } finally {
    await worker.terminate();
  }
});

test("a worker terminated inside a transaction leaves no lock and no change", async () => {
  using at = place();
  using db = new Lsm(at.file(), { busyTimeout: 5000 });
  const { worker, done } = start({ do: "hold", path: at.file() });
  await done;
  await worker.terminate();
  db.set("key", "value");
  assert.equal(db.get("held"), undefined);
  assert.equal(db.count(), 1);
});

/** A copy whose maker is gone was deleted, or was complete already. */
async function expectNoHalf(path: string): Promise<void> {
  if (existsSync(path)) assert.deepEqual((await Lsm.verify(path)).problems, []);
}

test("a worker terminated in the middle of a backup leaves no half of a copy", async () => {
  using at = place();
  using db = new Lsm(at.file());
  db.setMany(Array.from({ length: 40_000 }, (_, i) => [`k${i}`, "x".repeat(1000)] as const));
  const { worker, done } = start({ do: "backup", path: at.file(), to: at.file("copy.ldb") });
  await done;
  await worker.terminate();
  await expectNoHalf(at.file("copy.ldb"));
  db.set("key", "value");
  await db.backup(at.file("copy.ldb"), { overwrite: true });
  assert.ok((await Lsm.verify(at.file("copy.ldb"))).ok);
});

/** A program in the folder of a test, which finds the library as `Lsm`; how it ended. */
function runText(at: Place, text: string): Outcome {
  const door = new URL("../../mod.ts", import.meta.url).href;
  writeFileSync(at.file("program.ts"), `import { Lsm } from ${JSON.stringify(door)};\n${text}`);
  return runProgram(at, at.file("program.ts"));
}

test("a process that exits in the middle of a backup and a verification ends well", async () => {
  using at = place();
  const { status, errors } = runText(
    at,
    `
    import process from "node:process";
    const db = new Lsm("test.ldb");
    db.setMany(Array.from({ length: 40_000 }, (_, i) => ["k" + i, "x".repeat(1000)]));
    db.flush();
    db.verify();
    db.backup("copy.ldb");
    setTimeout(() => process.exit(7), 5);
    `,
  );
  assert.equal(errors, "");
  assert.equal(status, 7);
  await expectNoHalf(at.file("copy.ldb"));
  assert.ok((await Lsm.verify(at.file())).ok);
  using db = new Lsm(at.file());
  assert.equal(db.count(), 40_000);
});

// Deno unloads libraries then, without a word: threads of the engine must not lose the ground under
// them.
test("a program that throws while threads of the engine are at work ends with that error", () => {
  for (const work of ["db.backup('copy.ldb');", "db.verify();", ""]) {
    using at = place();
    const { status, errors } = runText(
      at,
      `
      const db = new Lsm("test.ldb", { background: true, autoFlush: 1 << 20 });
      const rows = Array.from({ length: 1000 }, (_, i) => [":" + i, "x".repeat(1000)]);
      for (let i = 0; i < 20; i++) db.setMany(rows.map(([key, value]) => [i + key, value]));
      ${work}
      setTimeout(() => { throw new Error("thrown on purpose"); }, 2);
      `,
    );
    assert.match(errors, /thrown on purpose/);
    assert.equal(status, 1);
    using db = new Lsm(at.file());
    assert.equal(db.count(), 20_000);
  }
});

test("a worker that alone uses the library ends, or throws, and its database is closed", () => {
  for (const end of ["setInterval(() => {}, 1000);", "throw new Error('thrown on purpose');"]) {
    using at = place();
    const door = JSON.stringify(new URL("../../mod.ts", import.meta.url).href);
    writeFileSync(
      at.file("worker.ts"),
      `
      import { parentPort } from "node:worker_threads";
      import { Lsm } from ${door};
      const db = new Lsm("test.ldb", { background: true, autoFlush: 1 << 20 });
      const rows = Array.from({ length: 1000 }, (_, i) => [":" + i, "x".repeat(1000)]);
      for (let i = 0; i < 20; i++) db.setMany(rows.map(([key, value]) => [i + key, value]));
      parentPort.postMessage("ready");
      ${end}
      `,
    );
    writeFileSync(
      at.file("program.ts"),
      `
      import { existsSync } from "node:fs";
      import process from "node:process";
      import { Worker } from "node:worker_threads";
      const worker = new Worker(new URL("./worker.ts", import.meta.url));
      worker.on("error", () => {});
      worker.on("message", async () => {
        await worker.terminate();
        const until = Date.now() + 20_000;
        setInterval(() => {
          const closed = !existsSync("test.ldb-log"); // the last close deletes it
          if (closed || Date.now() > until) process.exit(closed ? 7 : 8);
        }, 20);
      });
      `,
    );
    const { status } = runProgram(at, at.file("program.ts"), ["--allow-all"]);
    assert.equal(status, 7);
    using db = new Lsm(at.file());
    assert.equal(db.count(), 20_000);
  }
});
