// Transactions that end in a failure: what is kept, what is undone, and what whoever called is
// told.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CODE, LOCK } from "../../ffi/frames.ts";
import { Lsm, LsmBusyError, LsmError } from "../../mod.ts";
import { failureError } from "../../src/failure.ts";
import { large, limited, withoutLimits as skip } from "./limited.ts";
import { place } from "./support.ts";

/** The error of a commit with `chain`, when what failed is to begin the next transaction. */
function behindCommit(code: number, lock = 0): LsmError {
  const text = code === CODE.FULL ? "no space left" : "";
  const failure = { code, system: 0, page: 0, lock, waited: 7, holder: 0, text };
  const error = failureError(failure, { op: "commit", path: "jobs.ldb", isCommitted: true });
  assert.ok(error instanceof LsmError);
  return error;
}

test("a chain that breaks says that the commit is done, and not to try again", () => {
  const full = behindCommit(CODE.FULL);
  assert.equal(full.code, "LSM_FULL");
  assert.equal(
    full.message,
    'Committed to "jobs.ldb"; the next transaction could not be begun: no space left\n' +
      "  Hint: nothing that was committed is lost: free space on the device, " +
      "close snapshots and iterators",
  );
  const busy = behindCommit(CODE.BUSY, LOCK.WRITER);
  assert.ok(busy instanceof LsmBusyError);
  assert.match(
    busy.message,
    /^Committed to .* begun: another process holds the writer lock \(wait/,
  );
});

test("a chain breaks when the work behind a commit fails: it is committed, nothing is open", {
  skip,
}, () => {
  using at = place();
  large(at);
  const output = limited(
    at,
    `const db = new Lsm(path, { autoFlush: 64 << 10 });
    const tx = db.transaction();
    let count = 0;
    try {
      for (;; count++) {
        tx.set("new " + count, "v".repeat(1000));
        tx.commit({ chain: true });
      }
    } catch (error) {
      console.log(error.message.split("\\n")[0].replace(path, "it").replace(/begun: .*/, "begun"));
      console.log(/try again/.test(error.message), error.op, tx.state, db.transactionDepth);
      console.log(db.has("new " + count), db.has("new " + (count + 1)));
    }`,
  );
  assert.deepEqual(output.split("\n"), [
    'Committed to "it"; the next transaction could not be begun',
    "false commit committed 0",
    "true false",
  ]);
});

/** Runs a transaction whose function swallows what `body` throws, and prints what is told. */
function swallowing(body: string): string {
  return `const db = new Lsm(path);
  let first;
  try {
    db.transaction((tx) => {
      try {
        ${body}
      } catch (error) {
        first = error;
        console.log("first", error.op, tx.state, db.transactionDepth, db.isOpen);
        try {
          tx.get("a");
        } catch (error) {
          console.log("use", error.code, error.cause === first);
        }
      }
    });
  } catch (error) {
    console.log("end", error.code, error.op, error.cause === first, db.isOpen);
    console.log(/rolled back when a write or commit in it failed/.test(error.message));
  }`;
}

const FILL = 'for (let i = 0; i < 2000; i++) write("new " + i, "v".repeat(1000));';

test(
  "a failed commit that the function swallowed is told, with what failed first",
  { skip },
  () => {
    using at = place();
    large(at);
    const output = limited(
      at,
      swallowing(`const write = (key, value) => tx.set(key, value);
      try { ${FILL} } catch { tx.commit(); }`),
    );
    assert.deepEqual(output.split("\n"), [
      "first commit rolled back 0 true",
      "use LSM_MISUSE true",
      "end LSM_MISUSE commit true true",
      "true",
    ]);
    using db = new Lsm(at.file());
    assert.equal(db.count({ prefix: "new" }), 0);
  },
);

test("a nested transaction that cannot be undone on its own undoes all", { skip }, () => {
  const ways = [
    ["set", "const write = (key, value) => tx.transaction((inner) => inner.set(key, value));"],
    ["getOrInsert", "const write = (key, value) => tx.getOrInsert(key, value);"],
  ] as const;
  for (const [op, write] of ways) {
    using at = place();
    large(at);
    const output = limited(at, swallowing(write + FILL));
    assert.deepEqual(output.split("\n"), [
      `first ${op} rolled back 0 true`,
      "use LSM_MISUSE true",
      "end LSM_MISUSE commit true true",
      "true",
    ]);
    using db = new Lsm(at.file());
    assert.equal(db.count({ prefix: "new" }), 0);
  }
});
