// How many calls of the engine an operation takes: each costs what several entries cost to decode.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "../../ffi/load.ts";
import type { Native } from "../../ffi/native.ts";
import { bytes } from "../../mod.ts";
import { filled, opened } from "./support.ts";

/** The calls that `work` makes, in order, as `show` shows them: by their names. */
function callsOf(
  work: () => unknown,
  show: (name: string, args: unknown[]) => string = (name) => name,
): string[] {
  const native = load().native as unknown as Record<string, (...args: unknown[]) => unknown>;
  const original = { ...native };
  const calls: string[] = [];
  for (const [name, call] of Object.entries(original)) {
    native[name] = (...args) => {
      calls.push(show(name, args));
      return call(...args);
    };
  }
  try {
    work();
  } finally {
    Object.assign(native, original);
  }
  return calls;
}

/** The calls, of which there must be one. */
function oneCall(name: keyof Native, work: () => unknown): void {
  assert.deepEqual(callsOf(work), [name]);
}

test("what fits into one block takes one call", () => {
  using open = filled("a b c d e");
  const { db } = open;
  oneCall("scan", () => [...db]);
  oneCall("scan", () => [...db.range("d", "b")]);
  oneCall("scan", () => [...db.keys({ prefix: "x" })]);
  oneCall("scan", () => {
    for (const [key] of db.entries({ gte: "b" })) if (key === "c") break;
  });
  oneCall("scan", () => db.values({ limit: 1 }).next());
  oneCall("seek", () => db.first());
  oneCall("scan", () => db.last());
  oneCall("seek", () => db.last({ lt: "c" }));
  oneCall("seek", () => db.seek("c", "lt"));
  oneCall("get", () => db.get("c"));
  oneCall("getMany", () => db.getMany(["a", "x"]));
  oneCall("count", () => db.count({ gt: "a" }));
  assert.deepEqual(callsOf(() => [...db.keys({ gt: "b", lt: "b" })]), [], "nothing can be in it");
  assert.equal(db.stats().openSnapshots, 0);
});

test("so it does in snapshots and transactions", () => {
  using open = filled("a b c");
  const { db } = open;
  using snapshot = db.snapshot();
  oneCall("scan", () => [...snapshot]);
  using tx = db.transaction();
  tx.set("d", "D");
  oneCall("scan", () => assert.equal([...tx].length, 4));
});

test("longer ranges take one call a block, and one to end early", () => {
  using open = opened({ values: bytes });
  const { db } = open;
  const value = new Uint8Array(1000);
  db.setMany(Array.from({ length: 1000 }, (_, i) => [`k${String(i).padStart(4, "0")}`, value]));
  const calls = callsOf(() => assert.equal([...db].length, 1000));
  assert.deepEqual(calls, ["scan", ...Array(5).fill("scanNext"), "end"]);
  const iterator = db.entries();
  assert.deepEqual(callsOf(() => iterator.return()), ["end"]);
  assert.equal(db.stats().openSnapshots, 0);
});

test("a block is used again as soon as its last record has been given", () => {
  using open = filled("a b");
  const { db } = open;
  const blocks = new Set<unknown>();
  const { native } = load();
  const { scan } = native;
  Object.assign(native, {
    scan: (...args: Parameters<Native["scan"]>) => {
      blocks.add(args[7]);
      return scan(...args);
    },
  });
  try {
    for (let i = 0; i < 100; i++) db.entries({ limit: 1 }).next(); // nobody asks for the end
  } finally {
    Object.assign(native, { scan });
  }
  assert.equal(blocks.size, 1);
});

test("a scan that starts anew because of a write reads a small block", () => {
  using open = opened();
  const { db } = open;
  db.setMany(Array.from({ length: 10_000 }, (_, i) => [String(i + 10_000), "value"] as const));
  using tx = db.transaction();
  const iterator = tx.keys();
  for (let i = 0; i < 5_000; i++) iterator.next(); // the blocks have become large
  const write = () => {
    for (let i = 0; i < 20; i++) {
      tx.delete(iterator.next().value ?? "");
      iterator.next();
    }
  };
  const blocks = callsOf(write, (name, args) => name === "scan" ? String(args.at(-1)) : "")
    .filter((size) => size !== "");
  assert.deepEqual(blocks, Array.from({ length: 20 }, () => "4096"));
});
