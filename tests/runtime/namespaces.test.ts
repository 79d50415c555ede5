// Namespaces: the keys under a prefix, and nothing else.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, json, tuple } from "../../mod.ts";
import { filled, keysOf, opened } from "./support.ts";

test("keys get and lose the prefix", () => {
  using open = filled("a user z");
  const { db } = open;
  const users = db.namespace("user:");
  users.set("1", "Ada").set("2", "Grace");
  assert.equal(db.get("user:1"), "Ada");
  assert.equal(users.get("1"), "Ada");
  assert.equal(users.has("user:1"), false);
  assert.equal(keysOf(users), "1 2");
  assert.equal(users.count(), 2);
  assert.deepEqual(users.prefix, new TextEncoder().encode("user:"));
  assert.equal(users.delete("1"), true);
  assert.equal(keysOf(db), "a user user:2 z");
});

test("ranges and searches stay inside", () => {
  using open = filled("a u:b u:d z");
  const u = open.db.namespace("u:");
  assert.equal(keysOf(u.entries({ reverse: true })), "d b");
  assert.equal(keysOf(u.entries({ gt: "b" })), "d");
  assert.equal(keysOf(u.entries({ prefix: "d" })), "d");
  assert.equal(keysOf(u.range()), "b d");
  assert.equal(keysOf(u.range("d", "a")), "d b");
  assert.deepEqual(u.first(), ["b", "U:B"]);
  assert.deepEqual(u.last(), ["d", "U:D"]);
  assert.equal(u.seek("e", "ge"), undefined);
  assert.equal(u.seek("a", "le"), undefined);
  assert.deepEqual(u.seek("c", "le"), ["b", "U:B"]);
  assert.deepEqual(u.getMany(["b", "x"]), ["U:B", undefined]);
});

test("clear and deleteRange stay inside", () => {
  using open = filled("a u:b u:d z");
  const { db } = open;
  const u = db.namespace("u:");
  u.deleteRange({ lte: "b" });
  assert.equal(keysOf(db), "a u:d z");
  u.batch([{ type: "set", key: "c", value: "C" }, { type: "deleteRange", range: { gte: "d" } }]);
  assert.equal(keysOf(db), "a u:c z");
  u.clear();
  assert.equal(keysOf(db), "a z");
});

test("a namespace has codecs of its own, and namespaces inside", () => {
  using open = opened();
  const { db } = open;
  const people = db.namespace("p:", { values: json });
  people.set("1", { name: "Ada" });
  const inner = people.namespace("i:", { keys: bytes });
  inner.set(Uint8Array.of(0x78), "text");
  assert.deepEqual([...db], [["p:1", '{"name":"Ada"}'], ["p:i:x", '"text"']]);
  const raw = db.as({ keys: tuple }).namespace(["t"]);
  raw.set("k", "v");
  assert.equal(raw.get("k"), "v");
  assert.deepEqual(db.as({ keys: bytes }).first()?.[0], Uint8Array.of(2, 0x74, 0, 0x6b));
});

test("a namespace takes part in transactions", () => {
  using open = opened();
  const { db } = open;
  const users = db.namespace("user:");
  users.transaction((tx) => {
    tx.set("1", "Ada");
    db.set("a", "A");
    assert.equal(tx.incr("n"), 1);
    tx.delete("n");
  });
  assert.equal(keysOf(db), "a user:1");
  {
    using tx = users.transaction();
    tx.clear();
    assert.equal(keysOf(users), "");
  }
  assert.equal(keysOf(users), "1");
});
