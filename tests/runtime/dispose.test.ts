// The end of a block with `using`: what a close may fail with, and who hears of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lsm } from "../../mod.ts";
import { large, limited, withoutLimits as skip } from "./limited.ts";
import { place } from "./support.ts";

test("a block that fails ends with its own failure, and nothing is lost", { skip }, () => {
  using at = place();
  large(at);
  const output = limited(
    at,
    `try {
      using db = new Lsm(path);
      db.set("committed", "yes");
      throw new Error("its own");
    } catch (error) {
      console.log(error.name, error.message);
    }`,
  );
  assert.equal(output, "Error its own");
  using db = new Lsm(at.file());
  assert.equal(db.get("committed"), "yes");
});

test("a block that only reads what must be recovered does not fail", { skip }, () => {
  using at = place();
  large(at);
  const output = limited(
    at,
    `{ using db = new Lsm(path); db.set("committed", "yes"); }
    { using db = new Lsm(path); console.log(db.get("committed"), db.count()); }`,
  );
  assert.equal(output, "yes 1001");
});

test("close tells, and so does the end of a block without a log", { skip }, () => {
  using at = place();
  large(at);
  const output = limited(
    at,
    `const db = new Lsm(path);
    db.set("committed", "yes");
    try {
      db.close();
    } catch (error) {
      console.log("close", error.code, error.op, error.message.includes("Cannot close"), db.isOpen);
    }
    for (const change of [{ log: false }, {}]) {
      try {
        using db = new Lsm(path, change);
        if (change.log === undefined) {
          db.configure({ log: false });
          db.configure({ log: true });
        }
        db.set("lost", "yes");
      } catch (error) {
        console.log("dispose", error.code, error.op);
      }
    }`,
  );
  const [first, ...others] = output.split("\n");
  assert.match(first ?? "", /^close LSM_(IOERR|FULL) close true false$/);
  assert.equal(others.length, 2, output);
  for (const line of others) assert.match(line, /^dispose LSM_(IOERR|FULL) close$/);
  using db = new Lsm(at.file());
  assert.equal(db.get("committed"), "yes");
});
