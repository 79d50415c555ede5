// Transactions: functions, objects and the manual form; nesting, chains, handles bound to their level.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, LsmMisuseError } from "../../mod.ts";
import type { Transaction } from "../../mod.ts";
import { failure, filled, keysOf, opened, place } from "./support.ts";
import { Lsm } from "../../mod.ts";

test("a function commits when it returns, and passes its result on", () => {
  using open = opened();
  const { db } = open;
  const result = db.transaction((tx) => {
    assert.equal(tx.depth, 1);
    assert.equal(tx.state, "open");
    tx.set("a", "1");
    assert.equal(tx.get("a"), "1");
    assert.equal(db.get("a"), "1", "the database object is inside, too");
    return 42;
  });
  assert.equal(result, 42);
  assert.equal(db.transactionDepth, 0);
  assert.equal(db.get("a"), "1");
});

test("a function that throws leaves nothing behind", () => {
  using open = filled("a");
  const { db } = open;
  const reason = new Error("no");
  assert.throws(() =>
    db.transaction((tx) => {
      tx.set("a", "changed").set("b", "new");
      throw reason;
    }), reason);
  assert.equal(db.transactionDepth, 0);
  assert.equal(db.get("a"), "A");
  assert.equal(db.has("b"), false);
});

test("other connections see a commit, and nothing before it", () => {
  using at = place();
  using one = new Lsm(at.file());
  using two = new Lsm(at.file());
  one.transaction((tx) => {
    tx.set("a", "1");
    assert.equal(two.get("a"), undefined);
  });
  assert.equal(two.get("a"), "1");
});

test("an inner rollback leaves the outer changes", () => {
  using open = filled("a b");
  const { db } = open;
  db.transaction((tx) => {
    tx.set("a", "outer");
    tx.transaction((inner) => {
      assert.equal(inner.depth, 2);
      inner.set("a", "inner").set("b", "inner");
      inner.rollback();
      assert.equal(inner.state, "rolled back");
    });
    assert.equal(tx.get("a"), "outer");
    assert.equal(tx.get("b"), "B");
    assert.equal(db.transactionDepth, 1);
  });
  assert.equal(db.get("a"), "outer");
});

test("an inner commit counts only with the outer one", () => {
  using open = filled("a");
  const { db } = open;
  db.transaction((tx) => {
    tx.transaction((inner) => inner.set("a", "inner"));
    assert.equal(tx.get("a"), "inner");
    tx.rollback();
  });
  assert.equal(db.get("a"), "A");
});

test("an inner failure can be caught outside", () => {
  using open = opened();
  const { db } = open;
  db.transaction((tx) => {
    tx.set("a", "1");
    assert.throws(() =>
      tx.transaction((inner) => {
        inner.set("b", "2");
        throw new Error("inner");
      })
    );
    tx.set("c", "3");
  });
  assert.equal(keysOf(db), "a c");
});

test("many levels close one by one", () => {
  using open = opened();
  const { db } = open;
  const depths: number[] = [];
  const nest = (level: number): void => {
    db.transaction((tx) => {
      depths.push(tx.depth);
      tx.set(String(level), "x");
      if (level < 50) nest(level + 1);
      if (level % 2 === 0) tx.rollback();
    });
  };
  nest(1);
  assert.deepEqual(depths, Array.from({ length: 50 }, (_, i) => i + 1));
  assert.equal(keysOf(db), "1");
});

test("using rolls back unless committed", () => {
  using open = opened();
  const { db } = open;
  {
    using tx = db.transaction();
    tx.set("a", "1");
    assert.equal(tx.state, "open");
  }
  assert.equal(db.has("a"), false);
  {
    using tx = db.transaction();
    tx.set("a", "2");
    tx.commit();
    assert.equal(tx.state, "committed");
  }
  assert.equal(db.get("a"), "2");
  assert.equal(db.transactionDepth, 0);
});

test("using an outer one undoes the inner ones with it", () => {
  using open = opened();
  const { db } = open;
  let inner: Transaction<string, string>;
  {
    using tx = db.transaction();
    inner = tx.transaction();
    inner.set("a", "1");
  }
  assert.equal(inner.state, "rolled back");
  assert.equal(db.transactionDepth, 0);
  assert.equal(db.has("a"), false);
});

test("chain commits, and goes on", () => {
  using open = opened();
  const { db } = open;
  db.transaction((tx) => {
    tx.set("a", "1");
    tx.commit({ chain: true });
    assert.equal(tx.state, "open");
    tx.set("a", "2");
    tx.rollback({ chain: true });
    assert.equal(tx.get("a"), "1");
    assert.equal(db.transactionDepth, 1);
    tx.set("b", "3");
  });
  assert.deepEqual([...db], [["a", "1"], ["b", "3"]]);
});

test("chains work in nested transactions", () => {
  using open = opened();
  const { db } = open;
  db.transaction((tx) => {
    tx.set("a", "outer");
    tx.transaction((inner) => {
      inner.set("b", "1");
      inner.commit({ chain: true });
      inner.set("b", "2");
      inner.rollback({ chain: true });
      inner.set("c", "3");
      inner.rollback();
    });
    assert.equal(keysOf(tx), "a b");
  });
  assert.deepEqual([...db], [["a", "outer"], ["b", "1"]]);
});

test("the manual form", () => {
  using open = filled("a");
  const { db } = open;
  assert.equal(db.commit(), false);
  assert.equal(db.rollback(), false);
  assert.equal(db.begin(), 1);
  assert.equal(db.begin(), 2);
  db.set("a", "x");
  assert.equal(db.rollback({ chain: true }), true);
  assert.equal(db.transactionDepth, 2);
  assert.equal(db.get("a"), "A");
  db.set("b", "B");
  assert.equal(db.commit(), true);
  assert.equal(db.commit({ chain: true }), true);
  assert.equal(db.transactionDepth, 1);
  db.set("c", "C");
  assert.equal(db.rollback(), true);
  assert.equal(db.transactionDepth, 0);
  assert.equal(keysOf(db), "a b");
});

test("the manual chain leaves a handle of the level usable", () => {
  using open = opened();
  const { db } = open;
  db.transaction((tx) => {
    tx.set("a", "1");
    db.commit({ chain: true });
    tx.set("b", "2");
  });
  assert.equal(keysOf(db), "a b");
});

test("an outer handle is out of use while an inner one is open", () => {
  using open = filled("a");
  const { db } = open;
  db.transaction((tx) => {
    tx.transaction((inner) => {
      const uses = [
        () => tx.get("a"),
        () => tx.set("a", "x"),
        () => tx.entries(),
        () => tx.commit(),
        () => tx.rollback(),
        () => tx.transaction(),
        () => tx.incr("n"),
        () => tx.compareAndSet("a", "A", "B"),
      ];
      for (const use of uses) {
        assert.match(failure("LSM_MISUSE", use).message, /a nested transaction is still open/);
      }
      inner.set("b", "B");
      db.set("c", "C");
    });
    assert.equal(tx.get("b"), "B");
  });
  assert.equal(keysOf(db), "a b c");
});

test("a handle is out of use after its end", () => {
  using open = filled("a");
  const { db } = open;
  const committed = db.transaction();
  committed.commit();
  const undone = db.transaction();
  undone.rollback();
  for (const [tx, state] of [[committed, "committed"], [undone, "rolled back"]] as const) {
    const uses = [
      () => tx.get("a"),
      () => tx.set("a", "x"),
      () => tx.commit(),
      () => tx.rollback(),
      () => tx.commit({ chain: true }),
      () => tx.transaction(),
    ];
    for (const use of uses) {
      assert.match(failure("LSM_MISUSE", use).message, new RegExp(`already ${state}`));
    }
    tx[Symbol.dispose]();
  }
  // A later transaction at the same depth is not theirs either.
  db.transaction(() => assert.throws(() => committed.set("a", "x"), LsmMisuseError));
});

test("a nested one left open by the function undoes the whole", () => {
  using open = opened();
  const { db } = open;
  const error = failure("LSM_MISUSE", () =>
    db.transaction((tx) => {
      tx.set("a", "1");
      tx.transaction().set("b", "2");
    }));
  assert.match(error.message, /nested/);
  assert.equal(db.transactionDepth, 0);
  assert.equal(db.count(), 0);
});

test("an async function is refused, and undone", async () => {
  using open = opened();
  const { db } = open;
  const error = failure("LSM_MISUSE", () =>
    // @ts-expect-error: an async function is no function for a transaction
    db.transaction(async (tx) => {
      tx.set("a", "1");
      await Promise.resolve();
      tx.set("b", "2");
    }));
  assert.match(error.message, /async/);
  await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(db.count(), 0);
  assert.equal(db.transactionDepth, 0);
});

test("what is no function is a TypeError, and opens nothing", () => {
  using open = opened();
  assert.throws(() => open.db.transaction("x" as never), TypeError);
  assert.throws(() => open.db.transaction(null as never), TypeError);
  assert.throws(() => open.db.transactional(1 as never), TypeError);
  assert.throws(() => open.db.commit({ chain: 1 as never }), TypeError);
  assert.equal(open.db.transactionDepth, 0);
});

test("transactional keeps this, name and length", () => {
  using open = opened();
  const { db } = open;
  const { transactional } = db; // it is bound
  const rename = transactional(function rename(this: { prefix: string }, from: string, to: string) {
    db.set(this.prefix + to, db.getOrThrow(from));
    db.delete(from);
    return db.transactionDepth;
  });
  assert.equal(rename.name, "rename");
  assert.equal(rename.length, 2);
  db.set("a", "1");
  assert.equal(rename.call({ prefix: "x" }, "a", "b"), 1);
  assert.deepEqual([...db], [["xb", "1"]]);
  assert.throws(() => rename.call({ prefix: "y" }, "none", "c"), { code: "LSM_NOTFOUND" });
  assert.equal(db.transactionDepth, 0);
  assert.deepEqual([...db], [["xb", "1"]]);
});

test("transactional is a decorator of methods", () => {
  using open = opened();
  const { db } = open;
  class Account {
    constructor(readonly name: string) {}
    @db.transactional
    deposit(amount: number): number {
      assert.equal(db.transactionDepth, 1);
      return db.incr(this.name, amount);
    }
  }
  const account = new Account("ada");
  assert.equal(account.deposit(5), 5);
  assert.equal(account.deposit(2), 7);
});

test("atomic calls work inside transactions", () => {
  using open = opened();
  const { db } = open;
  db.transaction((tx) => {
    assert.equal(tx.incr("n"), 1);
    assert.equal(tx.incr("n", 5n), 6n);
    assert.equal(tx.getOrInsert("a", "1"), "1");
    assert.equal(tx.getOrInsertComputed("b", (key) => key), "b");
    assert.equal(tx.compareAndSet("a", "1", "2"), true);
    tx.setMany({ c: "3", d: "4" });
    tx.batch([{ type: "delete", key: "c" }]);
    tx.deleteRange({ gte: "d" });
    assert.equal(db.transactionDepth, 1);
  });
  assert.equal(keysOf(db), "a b");
});

test("on looks at the same transaction through other codecs", () => {
  using open = opened();
  using other = opened();
  const { db } = open;
  const raw = db.as({ values: bytes });
  const users = db.namespace("user:");
  db.transaction((tx) => {
    const rawTx = tx.on(raw);
    rawTx.set("a", Uint8Array.of(0x41));
    tx.on(users).set("7", "Ada");
    assert.equal(tx.get("a"), "A");
    tx.commit({ chain: true });
    rawTx.set("b", Uint8Array.of(0x42));
    rawTx.rollback();
    assert.equal(tx.state, "rolled back");
    assert.throws(() => tx.on(other.db), TypeError);
    assert.throws(() => tx.on({} as never), TypeError);
  });
  assert.deepEqual([...db], [["a", "A"], ["user:7", "Ada"]]);
});

test("views share one transaction", () => {
  using open = opened();
  const { db } = open;
  const raw = db.as({ values: bytes });
  db.begin();
  raw.set("a", Uint8Array.of(0x41));
  assert.equal(raw.transactionDepth, 1);
  raw.rollback();
  assert.equal(db.transactionDepth, 0);
  assert.equal(db.count(), 0);
});

test("closing the database inside a transaction undoes it, and is an error for who called", () => {
  using at = place();
  using db = new Lsm(at.file());
  const ends: ((tx: Transaction<string, string>) => unknown)[] = [
    () => db.close(),
    () => (db.close(), db.open()),
    () => (db.close(), db.open(), db.begin(), db.rollback()),
    (tx) => tx.transaction(() => db.close()),
    (tx) => {
      try {
        tx.transaction(() => db.close());
      } catch { /* the outer one is lost all the same */ }
    },
    (tx) => (tx.commit({ chain: true }), tx.set("b", "2"), db.close()),
  ];
  for (const end of ends) {
    const error = failure("LSM_CLOSED", () =>
      db.transaction((tx) => {
        tx.set("a", "1");
        end(tx);
      }));
    assert.equal(error.op, "commit");
    db.open();
    assert.equal(db.has("b"), false, String(end));
    assert.equal(db.transactionDepth, 0);
  }
  failure("LSM_CLOSED", () => db.transactional(() => db.close())());
  db.open();
  db.delete("a");
  failure("LSM_CLOSED", () => db.getOrInsertComputed("a", () => (db.close(), "1")));
});

test("closing the database behind a commit or rollback of one's own is no error", () => {
  using at = place();
  using db = new Lsm(at.file());
  db.transaction((tx) => {
    tx.set("a", "1");
    tx.commit();
    db.close();
  });
  db.open();
  db.transaction((tx) => {
    tx.set("b", "2");
    tx.rollback();
    db.close();
  });
  db.open();
  assert.equal(keysOf(db), "a");
});
