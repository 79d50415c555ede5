// Code of the user's that calls back into the database from where one would rather it did not.
import assert from "node:assert/strict";
import { test } from "node:test";
import { json, Lsm, LsmNotFoundError, utf8 } from "../../mod.ts";
import type { Codec, KeyCodec } from "../../mod.ts";
import { failure, filled, keysOf, opened, place } from "./support.ts";

/** Codecs that run `busy` whenever they are used. */
function busyCodecs(busy: () => void): { keys: KeyCodec<string>; values: Codec<string> } {
  const encode = (value: string): Uint8Array => {
    const bytes = utf8.encode(value);
    busy();
    return bytes;
  };
  const decode = (bytes: Uint8Array): string => {
    busy();
    return utf8.decode(bytes);
  };
  const values = { name: "busy", encode, decode };
  return { keys: { ...values, ordered: true, encodePrefix: encode }, values };
}

test("codecs may use the database while it uses them", () => {
  using at = place();
  let isBusy = false;
  using plain = new Lsm(at.file());
  const codecs = busyCodecs(() => {
    if (isBusy) return;
    isBusy = true;
    plain.set("inner key that is long", "inner value that is long");
    assert.equal(plain.get("inner key that is long"), "inner value that is long");
    plain.getMany(["x", "y"]);
    plain.setMany({ m: "1", n: "2" });
    assert.ok(plain.count() > 0);
    [...plain.entries()];
    plain.seek("m", "le");
    plain.compareAndSet("q", undefined, "r");
    isBusy = false;
  });
  const db = plain.as(codecs);
  db.set("a", "1");
  assert.equal(db.get("a"), "1");
  db.setMany({ b: "2", c: "3" });
  assert.deepEqual(db.getMany(["a", "b", "none", "c"]), ["1", "2", undefined, "3"]);
  assert.deepEqual(db.seek("bb", "le"), ["b", "2"]);
  assert.deepEqual([...db.entries({ gte: "a", lte: "c" })], [["a", "1"], ["b", "2"], ["c", "3"]]);
  assert.equal(db.compareAndSet("a", "1", "4"), true);
  assert.equal(db.delete("b"), true);
  assert.equal(db.incr("n1"), 1);
  assert.equal(db.getOrInsert("d", "5"), "5");
  using cursor = db.cursor();
  cursor.seek("c");
  assert.deepEqual(cursor.entry, ["c", "3"]);
  assert.equal(plain.get("inner key that is long"), "inner value that is long");
});

test("keys are encoded before a transaction begins, and values but the computed ones, too", () => {
  using open = filled("stored");
  const { db } = open;
  const depths: number[] = [];
  const busy = db.as(busyCodecs(() => depths.push(db.transactionDepth)));
  const uses = [
    () => busy.incr("n"),
    () => busy.incr("n", 1n),
    () => busy.getOrInsert("a", "1"),
    () => busy.getOrInsert("a", "2"),
    () => busy.compareAndSet("a", "1", "3"),
    () => busy.deleteRange({ prefix: "a", limit: 1 }),
  ];
  for (const use of uses) {
    depths.length = 0;
    use();
    assert.ok(depths.length > 0);
    assert.ok(depths.every((depth) => depth === 0), String(use));
  }
  depths.length = 0;
  assert.equal(busy.getOrInsertComputed("b", (key) => key + db.transactionDepth), "b1");
  assert.deepEqual([depths[0], depths.at(-1)], [0, 1], "the function's value inside");
  assert.equal(depths.filter((depth) => depth === 1).length, 1);
});

test("whenever a key appears, what is given is what is stored", () => {
  using open = opened();
  const { db } = open;
  let left = 0; // codecs to use before the key appears
  const other = db.as(busyCodecs(() => {
    if (--left === 0) db.set("a", "theirs");
  }));
  for (let i = 1; i < 8; i++) {
    db.clear();
    left = i;
    assert.equal(other.getOrInsert("a", "mine"), db.get("a"));
    db.clear();
    left = i;
    assert.equal(other.getOrInsertComputed("a", () => "mine"), db.get("a"));
    db.clear();
    left = i;
    try {
      assert.equal(other.getOrThrow("a"), "theirs");
    } catch (error) {
      assert.ok(error instanceof LsmNotFoundError);
    }
  }
});

test("toJSON may use the database", () => {
  using open = opened<string, unknown>({ values: json });
  const { db } = open;
  db.set("outer", { toJSON: () => (db.set("inner", 1), db.get("inner")) });
  db.setMany([["many", { toJSON: () => (db.setMany([["x", 2]]), 3) }]]);
  assert.deepEqual([...db], [["inner", 1], ["many", 3], ["outer", 1], ["x", 2]]);
});

test("an iterable may write to the database it fills", () => {
  using open = filled("a");
  const { db } = open;
  db.setMany(function* (): Generator<[string, string]> {
    for (const [key, value] of db) yield [key + key, value];
    db.set("from inside", "1");
    yield ["z", "Z"];
  }());
  assert.equal(keysOf(db), "a aa from inside z");
});

test("a codec that closes the database makes the call fail, not crash", () => {
  for (const use of ["get", "set", "iterate", "setMany", "cursor"] as const) {
    using at = place();
    using db = new Lsm(at.file());
    db.setMany({ a: "1", b: "2" });
    let isArmed = false;
    const other = db.as(busyCodecs(() => {
      if (isArmed) db.close();
    }));
    const iterator = other.entries();
    const cursor = other.cursor();
    cursor.first();
    isArmed = true;
    const uses = {
      get: () => other.get("a"),
      set: () => other.set("a", "x"),
      iterate: () => [...iterator],
      setMany: () => other.setMany({ x: "y" }),
      cursor: () => [...cursor],
    };
    failure("LSM_CLOSED", uses[use]);
    assert.equal(db.isOpen, false);
  }
});

test("a codec that moves the iterator it decodes for is LSM_MISUSE", () => {
  using open = filled("a b c");
  let move = () => {};
  const db = open.db.as(busyCodecs(() => move()));
  const iterator = db.entries();
  move = () => iterator.next();
  assert.match(failure("LSM_DECODE", () => iterator.next()).message, /running already/);
  move = () => {};
  assert.equal(iterator.next().done, true);
});

test("a codec that ends the iterator it decodes for gets its entry still", () => {
  using open = filled("a b c");
  let end = () => {};
  const db = open.db.as(busyCodecs(() => end()));
  const iterator = db.entries();
  end = () => {
    iterator.return();
    [...open.db.entries()]; // takes and fills the block that was given back
  };
  assert.deepEqual(iterator.next().value, ["a", "A"]);
  assert.equal(iterator.next().done, true);
});

test("a codec that moves the cursor it decodes for is LSM_MISUSE", () => {
  using open = filled("a b c");
  let move = () => {};
  const db = open.db.as(busyCodecs(() => move()));
  using cursor = db.cursor();
  cursor.first();
  move = () => cursor.next();
  failure("LSM_DECODE", () => cursor.value);
  move = () => {};
  assert.deepEqual(cursor.entry, ["a", "A"]);
});

test("a codec that fails leaves the scratch in order", () => {
  using open = filled("a");
  const { db } = open;
  const bad = db.as(busyCodecs(() => {
    throw new Error("no");
  }));
  for (let i = 0; i < 100; i++) {
    assert.throws(() => bad.get("a"), /no/);
    assert.throws(() => bad.set("a", "b"), /no/);
    assert.throws(() => [...bad], { code: "LSM_DECODE" });
  }
  assert.equal(db.get("a"), "A");
});

test("callbacks may begin and end transactions", () => {
  using open = filled("a b c");
  const { db } = open;
  db.forEach((value, key) => db.transaction((tx) => tx.set(key, value + value)));
  assert.deepEqual([...db.values()], ["AA", "BB", "CC"]);
  db.getOrInsertComputed("d", () => db.transaction(() => "D"));
  assert.equal(db.get("d"), "D");
});
