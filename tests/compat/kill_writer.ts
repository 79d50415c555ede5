/**
 * The writer that the kill test kills: transactions numbered on from what it finds, each acknowledged on standard
 * output after its commit returned. Every transaction is a function of its number, so the test knows what must be
 * there.
 */
import { writeSync } from "node:fs";
import { Lsm } from "../../mod.ts";
import { transactionOf } from "./kill_history.ts";

const path = process.argv[2] ?? "";
const db = new Lsm<string, string>(path, {
  safety: "full",
  autoFlush: 65536,
  autoCheckpoint: 262144,
});

let n = Number(db.get("~counter") ?? "0");
for (;;) {
  n++;
  db.transaction((tx) => {
    for (const op of transactionOf(n)) {
      if (op.type === "set") tx.set(op.key, op.value);
      else if (op.type === "delete") tx.delete(op.key);
      else tx.deleteRange({ gt: op.from, lt: op.to });
    }
    if (n % 7 === 0) {
      tx.transaction((inner) => {
        inner.set("~rolled-back", String(n));
        inner.rollback();
      });
    }
    tx.set("~counter", String(n));
  });
  writeSync(1, `${n}\n`);
}
