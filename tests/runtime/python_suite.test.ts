// What the test suite of Python's lsm-db expects, under the names of its tests, written anew. "Misuse"
// expectations became "works", a missing key is undefined, and a transaction that Python keeps open is chained.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, Lsm } from "../../mod.ts";
import type { Transaction } from "../../mod.ts";
import { failure, opened, place } from "./support.ts";

const numbered = (count: number) =>
  Array.from({ length: count }, (_, i) => [`k${i}`, `v${i}`] as [string, string]);
const pairs = (text: string) => text.split(" ").filter(Boolean).map((pair) => pair.split("=", 2));

test("TestLSM.test_db_open_close", () => {
  using at = place();
  using db = new Lsm(at.file());
  db.set("foo", "bar");
  assert.equal(db.close(), true);
  assert.equal(db.close(), false);
  assert.equal(db.open(), true);
  assert.equal(db.open(), false);
  assert.equal(db.get("foo"), "bar");
  db.close();
  db.open();
  using cursor = db.cursor();
  assert.deepEqual([...cursor], [["foo", "bar"]]);
});

test("TestLSM.test_dict_api", () => {
  using open = opened();
  const { db } = open;
  db.set("k1", "v1").set("k2", "v2").set("k3", "v3");
  assert.equal(db.get("k1"), "v1");
  assert.equal(db.get("k3"), "v3");
  assert.equal(db.get("k4"), undefined);
  assert.equal(db.delete("k1"), true);
  assert.equal(db.get("k1"), undefined);
  assert.equal(db.has("k1"), false);
  assert.equal(db.has("k2"), true);
  assert.deepEqual(db.seek("k1", "ge"), ["k2", "v2"]);
  assert.equal(db.delete("k99"), false);
});

test("TestLSM.test_keys_values", () => {
  using open = opened();
  const { db } = open;
  db.setMany(numbered(4));
  assert.deepEqual([...db.keys()], ["k0", "k1", "k2", "k3"]);
  assert.deepEqual([...db.values()], ["v0", "v1", "v2", "v3"]);
  assert.deepEqual([...db.keys({ reverse: true })], ["k3", "k2", "k1", "k0"]);
  assert.deepEqual([...db.values({ reverse: true })], ["v3", "v2", "v1", "v0"]);
});

test("TestLSM.test_fetch", () => {
  using open = opened();
  const { db } = open;
  db.setMany({ k1: "v1", k3: "v3", k5: "v5" });
  assert.equal(db.get("k3"), "v3");
  assert.equal(db.get("k4"), undefined);
  assert.equal(db.get("k4", { seek: "le" }), "v3");
  assert.equal(db.get("k4", { seek: "ge" }), "v5");
  assert.equal(db.get("k0", { seek: "le" }), undefined);
  assert.equal(db.get("k6", { seek: "ge" }), undefined);
  assert.equal(db.get("k6", { seek: "le" }), "v5");
});

test("TestLSM.test_fetch_bulk", () => {
  using open = opened();
  const { db } = open;
  db.setMany(numbered(5));
  assert.deepEqual(db.getMany(["k2", "kx", "k0"]), ["v2", undefined, "v0"]);
  assert.deepEqual(db.getMany(["k2x", "k0"], { seek: "le" }), ["v2", "v0"]);
});

test("TestLSM.test_fetch_range and its reverse and implicit forms", () => {
  using open = opened();
  const { db } = open;
  db.setMany([["a", "A"], ["c", "C"], ["d", "D"], ["f", "F"]]);
  const row = (expected: string, start?: string, end?: string, reverse?: boolean) => {
    const options = reverse === undefined ? {} : { reverse };
    const keys = expected.split(" ").filter(Boolean);
    assert.deepEqual([...db.range(start, end, options)].map(([key]) => key), keys);
    // The same through range options.
    const [low, high] = start !== undefined && end !== undefined && start > end
      ? [end, start]
      : [start, end];
    const isDown = low !== start || reverse === true;
    assert.deepEqual([...db.keys({ gte: low, lte: high, reverse: isDown })], keys);
  };
  row("a c d", "a", "d");
  row("a c d", "a", "e");
  row("c d", "b", "e");
  row("c d f", "b", "g");
  row("a c", undefined, "ccc");
  row("d f", "ccc");
  row("", "x");
  row("a c d f", "", "z");
  row("d c a", "a", "d", true);
  row("d c a", "d", "a", true);
  row("f d", "ccc", undefined, true);
  row("c a", undefined, "ccc", true);
  row("f d c a", undefined, undefined, true);
  row("d c a", "d", "a");
  row("d c", "e", "b");
});

test("TestLSM.test_delete_range", () => {
  using open = opened();
  const { db } = open;
  const remaining = (gt: string, lt: string) => {
    db.clear();
    db.setMany(numbered(10));
    db.deleteRange({ gt, lt });
    return [...db.keys()].join(" ");
  };
  assert.equal(remaining("k2", "k5"), "k0 k1 k2 k5 k6 k7 k8 k9");
  assert.equal(remaining("k2x", "k5"), "k0 k1 k2 k5 k6 k7 k8 k9");
  assert.equal(remaining("k0", "k99"), "k0");
  assert.equal(remaining("k", "k2"), "k2 k3 k4 k5 k6 k7 k8 k9");
  assert.equal(remaining("k5", "k2"), "k0 k1 k2 k3 k4 k5 k6 k7 k8 k9");
  assert.equal(remaining("k2", "k2"), "k0 k1 k2 k3 k4 k5 k6 k7 k8 k9");
});

test("TestLSM.test_iter_database", () => {
  using open = opened();
  const { db } = open;
  db.setMany(numbered(3));
  assert.deepEqual([...db], pairs("k0=v0 k1=v1 k2=v2"));
  assert.deepEqual([...db.entries({ reverse: true })], pairs("k2=v2 k1=v1 k0=v0"));
});

test("TestLSM.test_incr", () => {
  using open = opened();
  const { db } = open;
  assert.equal(db.incr("i0"), 1);
  assert.equal(db.incr("i0"), 2);
  assert.equal(db.incr("i0"), 3);
  assert.equal(db.incr("i1"), 1);
});

test("TestLSM.test_data_types", () => {
  using open = opened();
  const { db } = open;
  const raw = db.as({ keys: bytes, values: bytes });
  raw.set(Uint8Array.of(0, 255), Uint8Array.of(1, 0, 254));
  assert.deepEqual(raw.get(Uint8Array.of(0, 255)), Uint8Array.of(1, 0, 254));
  assert.throws(() => db.get(1 as never), TypeError);
  assert.throws(() => db.set("k", null as never), TypeError);
});

test("TestLSM.test_transaction_apis", () => {
  using open = opened();
  const { db } = open;
  assert.equal(db.transactionDepth, 0);
  db.begin();
  assert.equal(db.transactionDepth, 1);
  db.set("k1", "v1");
  db.begin();
  db.set("k2", "v2");
  assert.equal(db.rollback(), true);
  assert.equal(db.get("k2"), undefined);
  assert.equal(db.transactionDepth, 1);
  assert.equal(db.commit(), true);
  assert.equal(db.commit(), false);
  assert.equal(db.rollback(), false);
  assert.equal(db.get("k1"), "v1");
});

test("TestLSM.test_transaction_context_manager", () => {
  using open = opened();
  const { db } = open;
  db.transaction((txn) => {
    db.set("k1", "v1");
    txn.rollback({ chain: true });
    db.set("k2", "v2");
    txn.commit({ chain: true });
    db.set("k3", "v3");
  });
  assert.deepEqual([...db.keys()], ["k2", "k3"]);
  assert.throws(() =>
    db.transaction(() => {
      db.set("k4", "v4");
      throw new Error("boom");
    }), /boom/);
  assert.equal(db.has("k4"), false);
});

test("TestLSM.test_transaction_nesting and test_transaction_nesting_2", () => {
  using open = opened();
  const { db } = open;
  const curious = (txn: Transaction<string, string>, value: string) => txn.set("k", value);
  db.transaction((t1) => {
    curious(t1, "1");
    t1.transaction((t2) => {
      curious(t2, "2");
      t2.transaction((t3) => {
        curious(t3, "3");
        t3.rollback({ chain: true });
        assert.equal(t3.get("k"), "2");
      });
      t2.rollback();
    });
    assert.equal(t1.get("k"), "1");
    t1.transaction((t2) => {
      t2.transaction((t3) => curious(t3, "4"));
    });
    assert.equal(t1.get("k"), "4");
  });
  assert.equal(db.get("k"), "4");
});

test("TestLSM.test_transaction_decorator", () => {
  using open = opened();
  const { db } = open;
  const succeed = db.transactional((key: string, value: string) => {
    db.set(key, value);
    return key;
  });
  const fail = db.transactional((key: string) => {
    db.set(key, "x");
    throw new Error("fail");
  });
  assert.equal(succeed("k1", "v1"), "k1");
  assert.throws(() => fail("k2"), /fail/);
  assert.deepEqual([...db.keys()], ["k1"]);
});

test("TestLSM.test_cursor_simple and test_cursor_reversed", () => {
  using open = opened();
  const { db } = open;
  db.setMany(numbered(4));
  using up = db.cursor();
  using down = db.cursor({ reverse: true });
  assert.deepEqual([...up].map(([key]) => key), ["k0", "k1", "k2", "k3"]);
  assert.deepEqual([...down].map(([key]) => key), ["k3", "k2", "k1", "k0"]);
  up.first();
  assert.deepEqual(up.entry, ["k0", "v0"]);
  up.next();
  assert.deepEqual(up.entry, ["k1", "v1"]);
  assert.equal(up.prev() && up.key, "k0");
});

test("TestLSM.test_seek_and_iterate, its reverse, and missing keys", () => {
  using open = opened();
  const { db } = open;
  db.setMany(numbered(10));
  using up = db.cursor();
  up.seek("k7", "ge");
  assert.deepEqual([...up.keys()], ["k7", "k8", "k9"]);
  using down = db.cursor({ reverse: true });
  down.seek("k2", "le");
  assert.deepEqual([...down.keys()], ["k2", "k1", "k0"]);
  assert.equal(up.seek("k7x"), false);
  assert.equal(up.valid, false);
  assert.equal(up.seek("k7x", "ge") && up.key, "k8");
  assert.equal(down.seek("k7x", "le") && down.key, "k7");
  up.seek("k5"); // an exact search: Python refuses to go on from it
  assert.equal(up.next() && up.key, "k6");
});

test("TestCursors.test_fetch_until", () => {
  using open = opened();
  const { db } = open;
  db.setMany(numbered(10));
  using cursor = db.cursor();
  const until = (start: string, end?: string) => {
    cursor.seek(start, "ge");
    return [...cursor.until(end)].map(([key]) => key).join(" ");
  };
  assert.equal(until("k2", "k4"), "k2 k3 k4");
  assert.equal(until("k2", "k4x"), "k2 k3 k4");
  assert.equal(until("k8", "k99"), "k8 k9");
  assert.equal(until("k8"), "k8 k9");
  assert.equal(until("k5", "k3"), "");
});

test("TestCursors.test_fetch_range and test_fetch_range_reverse", () => {
  using open = opened();
  const { db } = open;
  db.setMany(numbered(10));
  using up = db.cursor();
  using down = db.cursor({ reverse: true });
  const row = (expected: string, start?: string, end?: string) => {
    assert.equal([...up.range(start, end)].map(([key]) => key).join(" "), expected);
    const reversed = expected.split(" ").reverse().join(" ");
    assert.equal([...down.range(start, end)].map(([key]) => key).join(" "), reversed);
  };
  row("k3 k4 k5", "k3", "k5");
  row("k3 k4 k5", "k5", "k3");
  row("k4 k5", "k3x", "k5x");
  row("k8 k9", "k8");
  row("k0 k1", undefined, "k1");
  row("", "k3x", "k3y");
});

test("TestCursors.test_cursor_consumed and test_keys_and_values", () => {
  using open = opened();
  const { db } = open;
  db.setMany(numbered(3));
  using cursor = db.cursor();
  assert.equal([...cursor].length, 3);
  assert.equal([...cursor].length, 0);
  cursor.first();
  assert.deepEqual([...cursor.keys()], ["k0", "k1", "k2"]);
  cursor.seek("k1", "ge");
  assert.deepEqual([...cursor.values()], ["v1", "v2"]);
});

test("TestLSMOptions.test_no_open, test_default_options and test_file_options", () => {
  using at = place();
  using db = new Lsm(at.file(), { open: false, pageSize: 8192, blockSize: 2 << 20 });
  assert.equal(db.isOpen, false);
  failure("LSM_CLOSED", () => db.get("foo"));
  db.open();
  assert.equal(db.config.pageSize, 8192);
  assert.equal(db.config.blockSize, 2 << 20);
  assert.equal(db.config.safety, "normal");
  assert.equal(db.config.autoMerge, 4);
  db.configure({ safety: "full", autoMerge: 8 });
  assert.equal(db.config.safety, "full");
  assert.equal(db.config.autoMerge, 8);
});

test("TestLSMInfo.test_lsm_info", () => {
  using open = opened({ pageSize: 1024, autoCheckpoint: 4096 });
  const { db } = open;
  assert.equal(db.stats().pagesWritten, 0);
  for (let i = 0; i < 1024; i++) db.set(`k${i}`, "x".repeat(1024));
  db.flush();
  db.checkpoint();
  const { pagesWritten, uncheckpointedBytes } = db.stats();
  assert.ok(pagesWritten > 0);
  assert.equal(uncheckpointedBytes, 0);
});
