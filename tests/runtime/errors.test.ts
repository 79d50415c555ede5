// Errors: classes, codes and messages, from real failures and from made-up error frames.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CODE, LOCK, RESULT } from "../../ffi/frames.ts";
import {
  LsmBusyError,
  LsmClosedError,
  LsmCorruptError,
  LsmDecodeError,
  LsmError,
  LsmMisuseError,
  LsmNotFoundError,
  LsmReadOnlyError,
} from "../../mod.ts";
import { failureError, readFailure, resultError } from "../../src/failure.ts";
import type { Failure } from "../../src/failure.ts";
import { Memory } from "../../src/memory.ts";
import { failure, filled } from "./support.ts";

const writing = { op: "set", path: "jobs.ldb" };

function made(code: number, rest: Partial<Failure> = {}, doing = writing): LsmError {
  const blank = { system: 0, page: 0, lock: 0, waited: 0, holder: 0, text: "" };
  const error = failureError({ ...blank, code, ...rest }, doing);
  assert.ok(error instanceof LsmError);
  assert.equal(error.errno, code);
  assert.equal(error.op, doing.op);
  assert.equal(error.path, doing.path);
  return error;
}

test("every class is an LsmError with its own name and code", () => {
  const errors = [
    [new LsmError("LSM_FULL", "m"), "LsmError", "LSM_FULL"],
    [new LsmNotFoundError("m", 1), "LsmNotFoundError", "LSM_NOTFOUND"],
    [new LsmBusyError("m", "writer", 5), "LsmBusyError", "LSM_BUSY"],
    [new LsmClosedError("m"), "LsmClosedError", "LSM_CLOSED"],
    [new LsmMisuseError("m"), "LsmMisuseError", "LSM_MISUSE"],
    [new LsmReadOnlyError("m"), "LsmReadOnlyError", "LSM_READONLY"],
    [new LsmCorruptError("m"), "LsmCorruptError", "LSM_CORRUPT"],
    [new LsmDecodeError("m", 1), "LsmDecodeError", "LSM_DECODE"],
  ] as const;
  for (const [error, name, code] of errors) {
    assert.ok(error instanceof LsmError && error instanceof Error);
    assert.deepEqual([error.name, error.code, error.message, error.errno], [name, code, "m", 0]);
    assert.equal(Object.prototype.hasOwnProperty.call(error, "cause"), false);
  }
  assert.equal(new LsmError("LSM_ERROR", "m", { cause: 1 }).cause, 1);
});

test("an error frame is read field by field", () => {
  const frame = new Memory(64);
  frame.words.set([5, 11, 7, 1, 2, 5000, 1, 3]);
  frame.text.write("abcdef", 32);
  assert.deepEqual(readFailure(frame, 35), {
    code: 5,
    system: 11,
    page: 2 ** 32 + 7,
    lock: 2,
    waited: 5000,
    holder: 1,
    text: "abc",
  });
  assert.equal(readFailure(frame, 33)?.text, "a", "never behind its end");
  assert.equal(readFailure(frame, 31), undefined);
});

test("a lock that is held is named, with its holder and the wait", () => {
  const locks = ["writer", "worker", "checkpointer", "open", "snapshot"] as const;
  const numbers = [LOCK.WRITER, LOCK.WORKER, LOCK.CHECKPOINTER, LOCK.OPEN, LOCK.SNAPSHOT];
  const reasons = [
    "another process holds the writer lock",
    "another process holds the worker lock",
    "another process holds the checkpointer lock",
    "another process has this database open; only one may at a time",
    "too many versions of the database are being read",
  ];
  locks.forEach((name, i) => {
    const error = made(CODE.BUSY, { lock: numbers[i] ?? 0, waited: 5000 });
    assert.ok(error instanceof LsmBusyError);
    assert.deepEqual([error.lock, error.waited, error.code], [name, 5000, "LSM_BUSY"]);
    const [message, hint] = error.message.split("\n");
    assert.equal(message, `Cannot write to "jobs.ldb": ${reasons[i]} (waited 5000 ms)`);
    assert.equal(hint, `  Hint: ${error.hint}`);
  });
  assert.match(made(CODE.BUSY, { holder: 1 }).message, /another connection of this process/);
  assert.match(made(CODE.BUSY, { holder: 2 }).message, /this thread itself/);
});

test("the engine's codes have names, classes and reasons", () => {
  assert.ok(made(CODE.READONLY) instanceof LsmReadOnlyError);
  assert.ok(made(CODE.MISUSE, { text: "a transaction is open" }) instanceof LsmMisuseError);
  const corrupt = made(CODE.CORRUPT, { page: 17, text: "cell outside page" });
  assert.ok(corrupt instanceof LsmCorruptError);
  assert.match(corrupt.message, /damaged on page 17: cell outside page/);
  const names = [
    [CODE.ERROR, "LSM_ERROR"],
    [CODE.NOMEM, "LSM_NOMEM"],
    [CODE.IOERR, "LSM_IOERR"],
    [CODE.FULL, "LSM_FULL"],
    [CODE.PROTOCOL, "LSM_PROTOCOL"],
    [CODE.MISMATCH, "LSM_MISMATCH"],
    [CODE.NOTADB, "LSM_NOTADB"],
    [CODE.NOT_COUNTER, "LSM_NOTCOUNTER"],
    [999, "LSM_ERROR"],
  ] as const;
  for (const [code, name] of names) {
    assert.equal(made(code).code, name);
    assert.match(made(code).message, /^Cannot write to "jobs.ldb": .+[^.]$/m);
  }
  assert.match(
    made(CODE.FULL, { system: 28, text: "no space" }).message,
    /no space \(system error 28\)/,
  );
});

test("files that cannot be opened are LSM_CANTOPEN", () => {
  const opening = { op: "open", path: "x" };
  for (const code of [CODE.CANTOPEN, CODE.IOERR, CODE.IOERR_NOENT, CODE.ISDIR, CODE.EXISTS]) {
    assert.equal(made(code, {}, opening).code, "LSM_CANTOPEN");
  }
  assert.match(made(CODE.EXISTS, {}, opening).message, /exists already/);
});

test("a counter that would overflow is a RangeError", () => {
  const frame = { system: 0, page: 0, lock: 0, waited: 0, holder: 0, text: "" };
  assert.ok(failureError({ ...frame, code: CODE.OVERFLOW }, writing) instanceof RangeError);
});

test("results without a frame have errors, too", () => {
  assert.ok(resultError(RESULT.CLOSED, writing) instanceof LsmClosedError);
  assert.ok(resultError(RESULT.IN_USE, writing) instanceof LsmMisuseError);
  assert.ok(resultError(RESULT.MISUSE, writing) instanceof LsmMisuseError);
  assert.equal(resultError(-77, writing).code, "LSM_ERROR");
});

test("messages name the operation and the file", () => {
  using open = filled("a");
  const { db, at } = open;
  db.begin();
  const flush = failure("LSM_MISUSE", () => db.flush());
  assert.equal(flush.message, `Cannot flush "${at.file()}": a transaction is open`);
  assert.equal(flush.op, "flush");
  failure("LSM_MISUSE", () => db.work());
  failure("LSM_MISUSE", () => db.optimize());
  db.rollback();
});
