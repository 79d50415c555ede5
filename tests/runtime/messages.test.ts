// What messages say to do: hints, wrong types, wrong names. The failures themselves are tested
// elsewhere.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { CODE, LOCK } from "../../ffi/frames.ts";
import { bytes, f64, i64, Lsm, LsmBusyError, LsmError, schema, tuple } from "../../mod.ts";
import type { KeyRange } from "../../mod.ts";
import { failureError } from "../../src/failure.ts";
import type { Failure } from "../../src/failure.ts";
import { isDeno, runProgram } from "./program.ts";
import { failure, filled, opened, place } from "./support.ts";
import type { Place } from "./support.ts";

/** The error of an engine that says this. */
function made(code: number, rest: Partial<Failure>, op = "set"): LsmError {
  const blank = { system: 0, page: 0, lock: 0, waited: 0, holder: 0, text: "" };
  const error = failureError({ ...blank, code, ...rest }, { op, path: "jobs.ldb", to: undefined });
  assert.ok(error instanceof LsmError);
  return error;
}

/** The message of the TypeError that `fn` throws. */
function typeError(fn: () => unknown): string {
  try {
    fn();
  } catch (error) {
    assert.ok(error instanceof TypeError, String(error));
    assert.equal(error.constructor, TypeError);
    return error.message;
  }
  assert.fail("expected a TypeError");
}

/** Runs a program in another process, and gives what it prints. */
function elsewhere(at: Place, source: string): string {
  const file = at.file("program.ts");
  const door = new URL("../../mod.ts", import.meta.url).href;
  writeFileSync(file, `import { Lsm } from ${JSON.stringify(door)};\n${source}`);
  const { output, errors } = runProgram(at, file, ["--allow-all"]);
  return `${output}${errors}`;
}

// --- Hints

test("a hint is the last line of the message, once", () => {
  const hint = "wait";
  assert.equal(
    new LsmError("LSM_BUSY", "It is raining", { hint }).message,
    "It is raining\n  Hint: wait",
  );
  assert.equal(new LsmError("LSM_BUSY", "It rains: wait", { hint }).message, "It rains: wait");
  assert.equal(new LsmError("LSM_BUSY", "It is raining").message, "It is raining");
});

test("an error that nobody catches shows its hint", () => {
  using at = place();
  const output = elsewhere(at, 'new Lsm("no/such/folder.ldb");');
  assert.match(output, /no such file or directory/);
  assert.match(output, /Hint: check the path; a folder is never created/);
});

test("a URL that was passed as text is recognised", () => {
  using at = place();
  const error = failure("LSM_CANTOPEN", () => new Lsm(`file://${at.folder}/missing/test.ldb`));
  assert.match(error.hint ?? "", /new URL/);
});

test(
  "what is not permitted names the log, and its folder",
  { skip: process.platform === "win32" },
  () => {
    for (const system of [1, 13, 30]) {
      const text = "Permission denied";
      const writing = made(CODE.IOERR, { system, text });
      assert.equal(
        writing.message.split("\n")[0],
        `Cannot write to "jobs.ldb": Permission denied (system error ${system})`,
      );
      assert.match(writing.hint ?? "", /folder must be writable, as "jobs\.ldb-log" is made/);
      assert.match(made(CODE.CANTOPEN, { system, text }, "open").hint ?? "", /unless .* readOnly/);
    }
    assert.equal(made(CODE.IOERR, { system: 5, text: "bad sector" }).hint, undefined);
  },
);

test("the system's own words are enough", { skip: process.platform !== "linux" }, () => {
  // Nobody may make a file there, whoever runs this.
  const error = failure("LSM_CANTOPEN", () => new Lsm("/sys/test.ldb"));
  assert.match(error.message, /^Cannot open "\/sys\/test\.ldb": [A-Z][^:]+ \(system error \d+\)$/m);
  assert.match(error.hint ?? "", /folder must be writable/);
});

test("a device is no database", { skip: process.platform === "win32" }, () => {
  failure("LSM_NOTADB", () => new Lsm("/dev/null"));
});

test("a full device is told with what was not done", () => {
  const full = { system: 28, text: "no space left" };
  assert.match(
    made(CODE.FULL, full).hint ?? "",
    /^nothing of this transaction was done: free space/,
  );
  assert.match(made(CODE.FULL, full, "commit").hint ?? "", /^nothing of this transaction was done/);
  assert.match(made(CODE.FULL, full, "close").hint ?? "", /^nothing that was committed is lost/);
  assert.match(made(CODE.FULL, full, "backup").hint ?? "", /where the copy is to be/);
  const handles = { text: "65,535 handles are open already" };
  assert.match(made(CODE.FULL, handles, "cursor").hint ?? "", /^close snapshots/);
});

// --- Who is in the way

test("another process is named as the reason, whichever lock it shows at", () => {
  const open = made(CODE.BUSY, { lock: LOCK.OPEN, waited: 5 }, "open");
  assert.equal(
    open.message,
    'Cannot open "jobs.ldb": another process has this database open; only one may at a time ' +
      "(waited 5 ms)\n  Hint: close it there, or wait longer: raise busyTimeout",
  );
  const text = "another process has the database open";
  const read = made(CODE.BUSY, { lock: LOCK.SNAPSHOT, holder: 1, text }, "get");
  assert.ok(read instanceof LsmBusyError);
  assert.equal(read.lock, "open");
  assert.match(read.message, /^Cannot read "jobs.ldb": another process has this database open/);
  const slots = made(CODE.BUSY, { lock: LOCK.SNAPSHOT, holder: 1, text: "no reader slot" }, "get");
  assert.match(slots.message, /too many versions of the database are being read \(waited/);
  assert.match(slots.hint ?? "", /close snapshots/);
});

test("a second process is told that the first has the database open", () => {
  using at = place();
  using db = new Lsm(at.file());
  db.set("a", "1");
  const path = JSON.stringify(at.file());
  const output = elsewhere(
    at,
    `for (const readOnly of [false, true]) {
      try {
        new Lsm(${path}, { readOnly, busyTimeout: 50 }).get("a");
      } catch (error) {
        console.log(error.code, error.lock, error.message);
      }
    }`,
  );
  const lines = output.split("\n").filter((line) => line.startsWith("LSM_BUSY"));
  assert.equal(lines.length, 2, output);
  for (const line of lines) {
    assert.match(line, /^LSM_BUSY open .*: another process has this database/);
  }
});

// --- Wrong types

test("a wrong key or value is called that, with the codec for it", () => {
  using open = opened();
  const { db } = open;
  const wrong = (value: unknown) => typeError(() => db.set("a", value as string));
  const wrongKey = (key: unknown) => typeError(() => db.get(key as string));
  assert.equal(
    wrong(1),
    "Expected a string as the value, got a number; " +
      "for such values open with another codec: { values: json }",
  );
  assert.match(wrong({}), /as the value, got an object;.*{ values: json }$/);
  assert.match(wrong([]), /as the value, got an Array;.*{ values: json }$/);
  assert.match(wrong(1n), /{ values: i64 }$/);
  assert.match(wrong(Uint8Array.of(1)), /{ values: bytes }$/);
  assert.equal(wrong(undefined), "Expected a string as the value, got undefined");
  assert.match(wrongKey(1), /^Expected a string as the key, got a number;.*{ keys: f64 }$/);
  assert.match(wrongKey(1n), /{ keys: u64 }$/);
  assert.match(wrongKey(["a"]), /{ keys: tuple }$/);
  assert.match(wrongKey(Uint8Array.of(1)), /{ keys: bytes }$/);
  assert.equal(wrongKey({}), "Expected a string as the key, got an object");
  const others = db.as({ keys: bytes, values: i64 });
  assert.match(
    typeError(() => others.set("a" as never, 1n)),
    /^Expected a Uint8Array as the key.*utf8/,
  );
  assert.match(
    typeError(() => others.set(Uint8Array.of(), 1 as never)),
    /^Expected a bigint as the/,
  );
  assert.match(typeError(() => db.namespace("x").set(1 as never, "")), /as the key, got a number/);
  assert.equal(typeError(() => i64.encode(1 as never)), "Expected a bigint, got a number");
});

test("a wrong key in a range is named by its option", () => {
  using open = filled("a b");
  const { db } = open;
  for (const option of ["gt", "gte", "lt", "lte"]) {
    const range = { [option]: 3 } as KeyRange<string>;
    const message = typeError(() => db.entries(range));
    assert.ok(message.startsWith(`Option ${option}: expected a string as the key, got a number`));
  }
  assert.match(typeError(() => db.keys({ prefix: 3 as never })), /^Prefix: expected a string/);
});

test("a wrong entry or operation is named by its number, or its key", () => {
  using open = filled("a b");
  const { db } = open;
  const set = (entries: unknown) => typeError(() => db.setMany(entries as [string, string][]));
  assert.equal(
    set([["c", "1"], ["d"]]),
    'Entry 1: expected a pair of key and value, but the value of "d" is missing',
  );
  assert.match(set([[]]), /^Entry 0: .*key and value are missing$/);
  assert.match(
    set([["c", "1"], "d1"]),
    /^Entry 1: expected a pair of key and value, got a string$/,
  );
  assert.match(
    set([["c", "1"], ["d", 2]]),
    /^Entry 1: expected a string as the value, got a number/,
  );
  assert.match(set({ c: "1", d: 2 }), /^Entry "d": expected a string as the value, got a number/);
  const operations = [{ type: "delete", key: "a" }, { type: "set", key: "c", value: 1 }] as never;
  assert.match(
    typeError(() => db.batch(operations)),
    /^Operation 1: expected a string as the value/,
  );
  const batch = (ops: unknown) => typeError(() => db.batch(ops as never));
  assert.equal(
    batch([{ type: "delete", key: "a" }, null]),
    'Operation 1: expected an operation such as { type: "set", key, value }, got null',
  );
  assert.match(batch("ab"), /^Expected an array of operations, got a string$/);
  assert.match(batch({ type: "delete", key: "a" }), /^Expected an array of operations, got an obj/);
  const types = 'Operation 0: the type of an operation is "set", "delete" or "deleteRange", not';
  assert.equal(batch([{ type: "put", key: "a", value: "1" }]), `${types} "put"`);
  assert.equal(batch([{ type: 1n }]), `${types} a bigint`);
  assert.equal(batch([{}]), `${types} undefined`);
  const inRange = (range: unknown) => batch([{ type: "deleteRange", range }]);
  assert.match(inRange({ ge: "a" }), /^Operation 0: there is no option ge; did you mean gte\?/);
  assert.match(inRange({ gte: 1 }), /^Operation 0: option gte: expected a string as the key, got/);
  assert.match(inRange(undefined), /^Operation 0: expected a range such as .*, got undefined$/);
  assert.equal(db.count(), 2);
});

test("a counter that is read as text is told to be one", () => {
  using open = opened();
  const { db } = open;
  db.incr("n", -1);
  db.as({ values: bytes }).set("short", Uint8Array.of(0xff));
  assert.match(failure("LSM_DECODE", () => db.get("n")).hint ?? "", /a counter, .* values: i64/);
  const [first] = [() => db.getMany(["n"]), () => [...db.values({ gte: "n" })]]
    .map((use) => failure("LSM_DECODE", use).hint);
  assert.match(first ?? "", /i64.*bytes to inspect/);
  assert.equal(
    failure("LSM_DECODE", () => db.get("short")).hint,
    "open with values: bytes to inspect it",
  );
});

test("what a codec of the user's throws stays as it is", () => {
  const mine = new TypeError("Expected nothing");
  const codec = {
    name: "mine",
    encode: () => {
      throw mine;
    },
    decode: () => 1,
  };
  using open = opened<string, number>({ values: codec });
  assert.throws(() => open.db.setMany([["a", 1]]), (error) => error === mine);
});

test("a wrong part of a tuple is told what a part may be", () => {
  using open = opened({ keys: tuple });
  for (const part of [{}, new Date(), null, undefined, new Uint16Array(1)]) {
    const message = typeError(() => open.db.set([part] as never, "x"));
    assert.match(
      message,
      /^A part of a tuple is a string, number, bigint, boolean or Uint8Array, not/,
    );
  }
  assert.match(typeError(() => open.db.set("a" as never, "x")), /^Expected an array as the key/);
});

// --- Wrong names

test("an option of a range with a slip in its name is recognised", () => {
  using open = filled("a");
  const { db } = open;
  const wrong = (range: object) => typeError(() => db.entries(range as KeyRange<string>));
  assert.match(wrong({ prefx: "a" }), /no option prefx; did you mean prefix\? Options are gt, gte/);
  assert.match(wrong({ Limit: 1 }), /did you mean limit\?/);
  assert.match(wrong({ ge: "a" }), /did you mean gte\?/);
  assert.match(wrong({ le: "a" }), /did you mean lte\?/);
  assert.match(wrong({ gtt: "a" }), /did you mean gte\?/);
  assert.match(wrong({ start: "a" }), /did you mean gte\?/);
  assert.match(wrong({ descending: true }), /did you mean reverse\?/);
  assert.match(wrong({ mode: 1 }), /no option mode\. Options are gt, gte/);
  assert.match(wrong(["a"]), /^Expected a range such as { gte, lt, prefix }, got an Array$/);
  assert.match(wrong({ colour: 1 }), /no option colour\. Options are gt, gte/);
  assert.match(
    typeError(() => db.first({ limit: 1 } as never)),
    /no option limit\. Options are gt/,
  );
});

test("without the permission the first line says which", { skip: !isDeno }, () => {
  using at = place();
  const file = at.file("program.ts");
  const door = new URL("../../mod.ts", import.meta.url).href;
  writeFileSync(file, `import { Lsm } from ${JSON.stringify(door)};\nnew Lsm("a.ldb");`);
  const { errors } = runProgram(at, file, []);
  assert.match(
    errors.split("\n")[0] ?? "",
    /Cannot load the native library.*: run with --allow-ffi=/,
  );
});

// --- Codecs

test("f64 keeps every number, and sorts as numbers do", () => {
  const numbers = [
    -Infinity,
    -1e300,
    -1.5,
    -1,
    -5e-324,
    -0,
    0,
    5e-324,
    0.1,
    1,
    1.5,
    2 ** 53,
    1e300,
    Infinity,
    NaN,
  ];
  using open = opened<number, number>({ keys: f64, values: f64 });
  const { db } = open;
  db.setMany(numbers.toReversed().map((each) => [each, each] as const));
  assert.deepEqual([...db.keys()], numbers);
  assert.deepEqual([...db.values()], numbers);
  assert.deepEqual([...db.keys({ gt: 0, lte: 1 })], [5e-324, 0.1, 1]);
  for (const each of numbers) {
    assert.deepEqual(f64.encode(each), tuple.encode([each]).slice(1), "as in a tuple");
    assert.ok(Object.is(f64.decode(f64.encode(each)), each));
  }
  assert.throws(() => f64.decode(new Uint8Array(7)), RangeError);
  assert.match(
    typeError(() => db.set("1" as never, 1)),
    /^Expected a number as the key, got a string/,
  );
});

test("codecs on their own may be used inside one another", () => {
  const positive = schema<number>({
    "~standard": {
      version: 1,
      vendor: "test",
      validate: (value) => {
        const number = i64.decode(i64.encode(BigInt(value as number)));
        return number > 0n ? { value: Number(number) } : { issues: [{ message: "not positive" }] };
      },
    },
  });
  using open = opened<string, number>({ values: positive });
  open.db.setMany([["a", 1], ["b", 2]]);
  assert.deepEqual([...open.db.values()], [1, 2]);
  const kept = bytes.decode(Uint8Array.of(1, 2));
  bytes.decode(Uint8Array.of(3, 4));
  assert.deepEqual(kept, Uint8Array.of(1, 2), "memory of the caller's own");
});
