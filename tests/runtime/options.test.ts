// Options: names, units, limits, read-back and changes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lsm, Safety, Seek } from "../../mod.ts";
import type { LsmOptions } from "../../mod.ts";
import { failure, opened, place } from "./support.ts";

test("an unknown option is named, with a guess and the list", () => {
  using at = place();
  const wrong = (options: unknown) => () => new Lsm(at.file(), options as LsmOptions);
  assert.throws(wrong({ pagesize: 1024 }), /no option pagesize; did you mean pageSize\?/);
  assert.throws(wrong({ page_size: 1024 }), /did you mean pageSize\?/);
  assert.throws(wrong({ colour: 1 }), /no option colour.*Options are keys, values/);
  assert.throws(wrong({ cacheSize: 1024 }), /did you mean memoryBudget\?/);
  assert.throws(wrong({ create: true }), /did you mean createIfMissing\?/);
  assert.throws(wrong({ createIfNotExists: true }), /did you mean createIfMissing\?/);
  assert.throws(wrong({ valueEncoding: "json" }), /did you mean values\?/);
  assert.throws(wrong({ readonly: true }), /did you mean readOnly\?/);
  assert.throws(wrong({ constructor: 1 }), /no option constructor\. Options are/);
  assert.throws(wrong("x"), TypeError);
  assert.throws(wrong(null), TypeError);
  assert.throws(wrong([]), /Options must be an object, not an Array/);
});

test("every method that takes options knows their names", () => {
  using open = opened();
  const { db } = open;
  db.set("a", "1");
  using tx = db.transaction();
  const space = db.namespace("n");
  const wrong = { colour: 1 } as never;
  const uses = [
    () => db.get("a", wrong),
    () => db.getOrThrow("a", wrong),
    () => db.getMany(["a"], wrong),
    () => db.as(wrong),
    () => db.namespace("x", wrong),
    () => space.namespace("x", wrong),
    () => db.cursor(wrong),
    () => db.range("a", "b", wrong),
    () => db.entries(wrong),
    () => db.keys(wrong),
    () => db.values(wrong),
    () => db.count(wrong),
    () => db.first(wrong),
    () => db.forEach(() => {}, wrong),
    () => db.deleteRange(wrong),
    () => db.commit(wrong),
    () => db.rollback(wrong),
    () => tx.commit(wrong),
    () => tx.rollback(wrong),
    () => db.work(wrong),
    () => db.configure(wrong),
  ];
  for (const use of uses) {
    assert.throws(use, /^TypeError: There is no option colour/, String(use));
  }
  assert.equal(tx.state, "open");
  assert.throws(() => db.get("a", { mode: "le" } as never), /no option mode; did you mean seek\?/);
  assert.throws(() => db.cursor({ revers: true } as never), /did you mean reverse\?/);
  assert.throws(() => db.commit({ chains: true } as never), /did you mean chain\?/);
  assert.throws(() => db.as({ value: Seek } as never), /did you mean values\?/);
  assert.throws(() => db.seek("a", { seek: "le" } as never), /A search is .*, not an object/);
});

test("what is no object with options is told so, with an example", () => {
  using open = opened();
  const { db } = open;
  for (const wrong of [null, "x", 7, ["a"], Uint8Array.of(1)] as never[]) {
    const uses: [() => unknown, RegExp][] = [
      [() => db.as(wrong), /^TypeError: Expected codecs such as { values: json }, got /],
      [() => db.namespace("x", wrong), /^TypeError: Expected codecs such as/],
      [() => db.get("a", wrong), /^TypeError: Expected options such as { seek: "le" }, got /],
      [() => db.cursor(wrong), /^TypeError: Expected options such as { reverse: true }, got /],
      [() => db.range("a", "b", wrong), /^TypeError: Expected options such as { reverse: true }/],
      [() => db.commit(wrong), /^TypeError: Expected options such as { chain: true }, got /],
      [() => db.work(wrong), /^TypeError: Options must be an object, not /],
      [() => db.keys(wrong), /^TypeError: Expected a range such as { gte, lt, prefix }, got /],
    ];
    for (const [use, message] of uses) assert.throws(use, message);
  }
  assert.throws(() => db.as(undefined as never), /^TypeError: Expected codecs .* got undefined/);
});

test("values of a wrong type are a TypeError, out of range a RangeError", () => {
  using at = place();
  const wrong = (options: unknown) => () => new Lsm(at.file(), options as LsmOptions);
  const types: unknown[] = [
    { open: 1 },
    { readOnly: "yes" },
    { pageSize: "4096" },
    { safety: 1 },
    { mmap: "all" },
    { autoCheckpoint: true },
    { busyTimeout: null },
    { library: 1 },
  ];
  for (const options of types) assert.throws(wrong(options), TypeError, JSON.stringify(options));
  const ranges: unknown[] = [
    { pageSize: 128 },
    { pageSize: 1000 },
    { pageSize: 131072 },
    { blockSize: 1024 },
    { blockSize: 2 ** 27 },
    { safety: "max" },
    { safety: "toString" },
    { autoFlush: -1 },
    { autoFlush: 1000 },
    { autoFlush: 2 ** 31 },
    { autoMerge: 1 },
    { autoCheckpoint: 1 },
    { mmap: 1024 },
    { mmap: -1024 },
    { busyTimeout: 0.5 },
    { busyTimeout: 2 ** 31 },
    { memoryBudget: 1000 },
    { pageSize: NaN },
  ];
  for (const options of ranges) assert.throws(wrong(options), RangeError, JSON.stringify(options));
});

test("options are in force, in bytes and words", () => {
  const options = {
    pageSize: 1024,
    blockSize: 65536,
    safety: "full",
    autoFlush: 512 * 1024,
    autoWork: false,
    autoMerge: 6,
    autoCheckpoint: 4096,
    busyTimeout: 100,
    log: false,
    background: true,
    memoryBudget: 1 << 20,
  } as const;
  using open = opened(options);
  const { config } = open.db;
  for (const [name, value] of Object.entries(options)) {
    assert.equal(config[name as keyof typeof config], value, name);
  }
  assert.ok(Object.isFrozen(config));
});

test("defaults are those of the engine", () => {
  using open = opened();
  const { config } = open.db;
  assert.equal(config.pageSize, 4096);
  assert.equal(config.blockSize, 1 << 20);
  assert.equal(config.safety, "normal");
  assert.equal(config.log, true);
  assert.equal(config.readOnly, false);
  assert.equal(config.createIfMissing, true);
  assert.equal(config.errorIfExists, false);
  assert.equal(config.busyTimeout, 5000);
  assert.equal(config.autoMerge, 4);
});

test("a thread in the background leaves the same content", () => {
  using at = place();
  {
    using db = new Lsm(at.file(), { background: true, autoFlush: 64 << 10 });
    for (let i = 0; i < 5000; i++) db.set(`key ${i % 1000}`, `value ${i} `.repeat(10));
    assert.equal(db.count(), 1000);
  }
  using db = new Lsm(at.file());
  assert.equal(db.count(), 1000);
  assert.equal(db.get("key 999"), "value 4999 ".repeat(10));
});

test("autoCheckpoint false is 0, mmap takes bytes", () => {
  using open = opened({ autoCheckpoint: false, mmap: 1 << 20 });
  assert.equal(open.db.config.autoCheckpoint, 0);
  assert.equal(open.db.config.mmap, 1 << 20);
});

test("the sizes of the file win over those asked for", () => {
  using at = place();
  new Lsm(at.file(), { pageSize: 1024, blockSize: 65536 }).set("a", "1").close();
  using db = new Lsm(at.file(), { pageSize: 8192 });
  assert.equal(db.config.pageSize, 1024);
  assert.equal(db.config.blockSize, 65536);
  assert.equal(db.get("a"), "1");
});

test("configure changes what may change", () => {
  using open = opened();
  const { db } = open;
  db.configure({ safety: "off", autoFlush: 2 << 20, autoWork: false, busyTimeout: 0 });
  const { safety, autoFlush, autoWork, busyTimeout } = db.config;
  assert.deepEqual([safety, autoFlush, autoWork, busyTimeout], ["off", 2 << 20, false, 0]);
  db.configure({});
  failure("LSM_MISUSE", () => db.configure({ pageSize: 1024 } as never));
  failure("LSM_MISUSE", () => db.configure({ background: true } as never));
  failure("LSM_MISUSE", () => db.configure({ keys: 1 } as never));
  assert.throws(() => db.configure({ saftey: "off" } as never), /did you mean safety/);
  assert.throws(() => db.configure({ safety: "normal", autoMerge: 0 }), RangeError);
  assert.equal(db.config.safety, "off", "one wrong option, and none is changed");
});

test("the log is not changed inside a transaction", () => {
  using open = opened();
  const { db } = open;
  db.begin();
  failure("LSM_MISUSE", () => db.configure({ log: false }));
  failure("LSM_MISUSE", () => db.configure({ mmap: false }));
  db.configure({ safety: "full" });
  db.rollback();
  db.configure({ log: false });
  assert.equal(db.config.log, false);
});

test("Python's names", () => {
  assert.deepEqual({ ...Seek }, { LE: "le", EQ: "eq", GE: "ge", LEFAST: "lefast" });
  assert.deepEqual({ ...Safety }, { OFF: "off", NORMAL: "normal", FULL: "full" });
});

test("a second library is LSM_MISUSE, the same one is not", () => {
  using open = opened();
  using at = place();
  failure("LSM_MISUSE", () => new Lsm(at.file(), { library: "/no/such/library.so" }));
  assert.equal(open.db.isOpen, true);
});
