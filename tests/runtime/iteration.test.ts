// Iterators: laziness, snapshots, live iteration in transactions, what ends them, what they hold.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, LsmClosedError, LsmMisuseError } from "../../mod.ts";
import { failure, filled, keysOf, opened } from "./support.ts";

/** A database with keys long enough for many blocks. */
function large(count: number) {
  const open = opened();
  const entries = Array.from(
    { length: count },
    (_, i) => [String(i).padStart(8, "0"), `value ${i} `.repeat(10)] as const,
  );
  open.db.setMany(entries);
  return { ...open, entries };
}

test("a database iterates over its entries, as a Map does", () => {
  using open = filled("b a");
  assert.deepEqual([...open.db], [["a", "A"], ["b", "B"]]);
  assert.deepEqual(Object.fromEntries(open.db), { a: "A", b: "B" });
});

test("an iterator is an Iterator of the language, with its helpers", () => {
  using open = filled("a b c d");
  const iterator = open.db.keys();
  assert.ok(iterator instanceof Iterator);
  assert.equal(Object.prototype.toString.call(iterator), "[object LsmIterator]");
  assert.deepEqual(iterator.filter((key) => key > "a").map((key) => key + key).take(2).toArray(), [
    "bb",
    "cc",
  ]);
});

test("an iterator counts, and is used up once", () => {
  using open = filled("a b c");
  const iterator = open.db.entries();
  assert.equal(iterator.count, 0);
  iterator.next();
  assert.equal(iterator.count, 1);
  assert.equal(keysOf(iterator), "b c");
  assert.equal(iterator.count, 3);
  assert.deepEqual(iterator.next(), { value: undefined, done: true });
  assert.equal(keysOf(iterator), "");
});

test("many blocks come in order, forwards and backwards, whole and cut", () => {
  const { db, entries, at } = large(20_000);
  using _ = at;
  assert.deepEqual([...db], entries);
  assert.deepEqual([...db.entries({ reverse: true })], entries.toReversed());
  assert.deepEqual([...db.keys()], entries.map(([key]) => key));
  assert.deepEqual([...db.values()], entries.map(([, value]) => value));
  assert.deepEqual([...db.entries({ limit: 12_345 })], entries.slice(0, 12_345));
  assert.equal(db.count(), 20_000);
  db.close();
});

test("entries larger than a block come one by one", () => {
  using open = opened<string, Uint8Array>({ values: bytes });
  const { db } = open;
  const sizes = [10, 5_000, 3, 300_000, 300_000, 7, 100_000, 0, 1_000_000];
  db.setMany(sizes.map((size, i) => [String(i), new Uint8Array(size).fill(i)] as const));
  assert.deepEqual([...db.values()].map((value) => value.length), sizes);
  assert.deepEqual([...db.values({ reverse: true })].map((v) => v.length), sizes.toReversed());
  assert.deepEqual([...db].map(([key, value]) => [key, value.length, value[0]]), [
    ...sizes.map((size, i) => [String(i), size, size === 0 ? undefined : i]),
  ]);
  assert.deepEqual(db.last()?.[1].length, 1_000_000);
});

test("outside a transaction an iterator shows the state it was made in", () => {
  const { db, at } = large(5_000);
  using _ = at;
  const iterator = db.keys();
  db.set("00000000a", "new");
  db.delete("00004999");
  db.deleteRange({ gt: "00001000", lt: "00002000" });
  assert.equal([...iterator].length, 5_000);
  assert.equal(db.count(), 5_000 + 1 - 1 - 999);
  db.close();
});

test("a loop may delete what it visits", () => {
  const { db, at } = large(3_000);
  using _ = at;
  let count = 0;
  for (const key of db.keys()) {
    assert.equal(db.delete(key), true);
    count++;
  }
  assert.equal(count, 3_000);
  assert.equal(db.count(), 0);
  db.close();
});

test("inside a transaction an iterator sees writes at keys it has not reached", () => {
  using open = filled("a c e g");
  const { db } = open;
  db.transaction((tx) => {
    const seen: string[] = [];
    for (const key of tx.keys()) {
      seen.push(key);
      if (key === "a") tx.set("b", "new").delete("c");
      if (key === "e") tx.set("d", "behind").set("f", "ahead").set("h", "last");
    }
    assert.deepEqual(seen, ["a", "b", "e", "f", "g", "h"]);
  });
});

test("live iteration works backwards, over values and with a limit", () => {
  using open = filled("a c e g");
  const { db } = open;
  using tx = db.transaction();
  const down: string[] = [];
  for (const key of tx.keys({ reverse: true })) {
    down.push(key);
    if (key === "e") tx.set("d", "new").delete("c");
  }
  assert.deepEqual(down, ["g", "e", "d", "a"]);
  const values: string[] = [];
  for (const value of tx.values({ limit: 3 })) {
    values.push(value);
    tx.set("b", "between");
  }
  assert.deepEqual(values, ["A", "between", "new"]);
});

test("writes through the database object count as well while its transaction is open", () => {
  using open = filled("a c");
  const { db } = open;
  db.begin();
  const iterator = db.keys();
  assert.equal(iterator.next().value, "a");
  db.set("b", "new");
  db.transaction((tx) => tx.set("bb", "nested"));
  assert.deepEqual([...iterator], ["b", "bb", "c"]);
  db.rollback();
});

test("an iterator outlives a nested transaction, also one that is undone", () => {
  using open = filled("a b c");
  const { db } = open;
  db.transaction((tx) => {
    const iterator = tx.keys();
    assert.equal(iterator.next().value, "a");
    tx.transaction((inner) => {
      inner.delete("b");
      inner.rollback();
    });
    assert.equal(iterator.next().value, "b");
    tx.transaction((inner) => inner.delete("c"));
    assert.equal(iterator.next().done, true);
  });
});

test("while an inner transaction is open and has written, an iterator waits", () => {
  using open = filled("a b c d");
  const { db } = open;
  db.transaction((tx) => {
    const iterator = tx.keys();
    assert.equal(iterator.next().value, "a");
    {
      using inner = tx.transaction();
      inner.set("aa", "new");
      const error = failure("LSM_MISUSE", () => iterator.next());
      assert.match(error.message, /a nested transaction is still open/);
      assert.equal(error.op, "keys");
      assert.throws(() => [...iterator], LsmMisuseError);
      assert.equal(iterator.count, 1);
      inner.commit();
    }
    assert.deepEqual([...iterator], ["aa", "b", "c", "d"]);
  });
});

test("a live iterator over an empty set stays empty", () => {
  using open = opened();
  const { db } = open;
  db.transaction((tx) => {
    const iterator = tx.keys({ gt: "b", lt: "a" });
    tx.set("aa", "1");
    assert.equal(iterator.next().done, true);
  });
});

test("an iterator ends with its transaction", () => {
  using open = filled("a b c");
  const { db } = open;
  const ends: ((tx: ReturnType<typeof db.transaction>) => unknown)[] = [
    (tx) => tx.commit(),
    (tx) => tx.rollback(),
    (tx) => tx.commit({ chain: true }),
    (tx) => tx.rollback({ chain: true }),
    () => db.commit(),
    () => db.rollback({ chain: true }),
  ];
  for (const end of ends) {
    using tx = db.transaction();
    const iterator = tx.keys();
    iterator.next();
    end(tx);
    assert.throws(() => iterator.next(), LsmClosedError, String(end));
    assert.equal(iterator.next().done, true, "and after the error it is at its end");
  }
});

test("a frozen iterator goes on through a transaction", () => {
  using open = filled("a b c");
  const { db } = open;
  const iterator = db.keys();
  iterator.next();
  db.transaction((tx) => {
    tx.delete("b");
    assert.equal(iterator.next().value, "b");
  });
  assert.equal(iterator.next().value, "c");
});

test("break, return and using let go", () => {
  const { db, at } = large(2_000);
  using _ = at;
  const open = () => db.stats().openSnapshots;
  for (const key of db.keys()) if (key > "00000010") break;
  assert.equal(open(), 0);
  const iterator = db.entries();
  assert.equal(open(), 1);
  assert.deepEqual(iterator.return(), { value: undefined, done: true });
  assert.equal(open(), 0);
  assert.deepEqual(iterator.next(), { value: undefined, done: true });
  {
    using inBlock = db.entries();
    inBlock.next();
    assert.equal(open(), 1);
  }
  assert.equal(open(), 0);
  db.close();
});

test("a range that ends within its first block holds nothing", () => {
  using open = filled("a b c");
  const iterator = open.db.entries();
  assert.equal(open.db.stats().openSnapshots, 0);
  assert.equal(keysOf(iterator), "a b c");
});

test("a forgotten iterator does not hinder closing", () => {
  const { db, at } = large(2_000);
  using _ = at;
  const iterator = db.entries();
  iterator.next();
  assert.equal(db.close(), true);
  assert.throws(() => iterator.next(), LsmClosedError);
});

test("many iterators at once keep to themselves", () => {
  const { db, entries, at } = large(3_000);
  using _ = at;
  const iterators = Array.from({ length: 20 }, () => db.entries());
  const seen = iterators.map(() => 0);
  for (let i = 0; i < 3_000; i++) {
    iterators.forEach((iterator, j) => {
      assert.deepEqual(iterator.next().value, entries[i]);
      seen[j] = (seen[j] ?? 0) + 1;
    });
  }
  assert.ok(iterators.every((iterator) => iterator.next().done));
  assert.ok(seen.every((count) => count === 3_000));
  db.close();
});

test("an error in the middle of a loop ends the iterator", () => {
  using open = filled("a b c");
  assert.throws(() => {
    for (const _ of open.db) throw new Error("stop");
  }, /stop/);
  assert.throws(() => open.db.forEach(() => assert.fail("stop")), /stop/);
  assert.equal(open.db.stats().openSnapshots, 0);
});
