// for await: the same sequence, with room for other work between blocks.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LsmMisuseError } from "../../mod.ts";
import { filled, opened } from "./support.ts";

function large(count: number) {
  const open = opened();
  open.db.setMany(Array.from(
    { length: count },
    (_, i) => [String(i).padStart(8, "0"), `value ${i} `.repeat(10)] as const,
  ));
  return open;
}

test("for await visits what for visits", async () => {
  using open = large(10_000);
  const keys: string[] = [];
  for await (const key of open.db.keys()) keys.push(key);
  assert.deepEqual(keys, [...open.db.keys()]);
});

test("other work of the thread gets its turn between blocks", async () => {
  using open = large(20_000);
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  for await (const _ of open.db);
  clearInterval(timer);
  assert.ok(turns > 0);
});

test("both ways of iterating share one position", async () => {
  using open = filled("a b c d");
  const iterator = open.db.keys();
  assert.equal(iterator.next().value, "a");
  const other = iterator[Symbol.asyncIterator]();
  assert.deepEqual(await other.next(), { value: "b", done: false });
  assert.equal(iterator.next().value, "c");
  assert.deepEqual(await Promise.all([other.next(), other.next(), other.next()]), [
    { value: "d", done: false },
    { value: undefined, done: true },
    { value: undefined, done: true },
  ]);
});

test("nexts that are not awaited come in order", async () => {
  using open = large(3_000);
  const iterator = open.db.keys()[Symbol.asyncIterator]();
  const results = await Promise.all(Array.from({ length: 3_001 }, () => iterator.next()));
  assert.deepEqual(results.slice(0, -1).map(({ value }) => value), [...open.db.keys()]);
  assert.equal(results.at(-1)?.done, true);
});

test("a synchronous next while an asynchronous one reads is LSM_MISUSE", async () => {
  using open = large(3_000);
  const iterator = open.db.keys();
  const other = iterator[Symbol.asyncIterator]();
  let refused = 0;
  for (;;) {
    await other.next();
    const pending = other.next();
    await Promise.resolve(); // lets the asynchronous side begin
    try {
      iterator.next();
    } catch (error) {
      assert.ok(error instanceof LsmMisuseError);
      refused++;
    }
    if ((await pending).done) break;
  }
  assert.ok(refused > 0);
});

test("inside a transaction it reads at once", async () => {
  using open = large(3_000);
  using tx = open.db.transaction();
  let count = 0;
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  for await (const _ of tx.keys()) count++;
  clearInterval(timer);
  assert.equal(count, 3_000);
  assert.equal(turns, 0);
});

test("break lets go", async () => {
  using open = large(3_000);
  for await (const _ of open.db) break;
  assert.equal(open.db.stats().openSnapshots, 0);
});

test("a signal ends the loop with its reason", async () => {
  using open = large(3_000);
  const controller = new AbortController();
  const reason = new Error("enough");
  let count = 0;
  await assert.rejects(async () => {
    for await (const _ of open.db.keys({ signal: controller.signal })) {
      if (++count === 10) controller.abort(reason);
    }
  }, reason);
  assert.equal(count, 10);
  assert.equal(open.db.stats().openSnapshots, 0);
  assert.throws(() => open.db.keys({ signal: controller.signal }), reason);
});

test("an error rejects, and ends the iterator", async () => {
  using open = large(3_000);
  const iterator = open.db.keys()[Symbol.asyncIterator]();
  await iterator.next();
  open.db.close();
  await assert.rejects(iterator.next(), { code: "LSM_CLOSED" });
  assert.deepEqual(await iterator.next(), { value: undefined, done: true });
});
