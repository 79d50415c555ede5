// The end of a block with `using`: what a close may fail with, and who hears of it. A limit on the size of
// files stands in for a full device.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { Lsm } from "../../mod.ts";
import { place } from "./support.ts";
import type { Place } from "./support.ts";

const door = new URL("../../mod.ts", import.meta.url).href;
const skip = process.platform === "win32" ? "there is no such limit" : false;

/** A database of a megabyte, so that all that is added lies beyond the limit. */
function large(at: Place): void {
  using db = new Lsm(at.file());
  for (let i = 0; i < 1000; i++) db.set(`${i}`, "v".repeat(1000));
}

/** Runs a program that can make no file longer than 256 or 512 KB, depending on the shell. */
function limited(at: Place, source: string): string {
  const file = at.file("program.ts");
  const path = JSON.stringify(at.file());
  writeFileSync(
    file,
    `import { Lsm } from ${JSON.stringify(door)};\nconst path = ${path};\n${source}`,
  );
  const isDeno = "Deno" in globalThis;
  const args = isDeno ? ["run", "-A", "--no-check", file] : ["run", file];
  const command = `ulimit -f 512; trap "" XFSZ; exec "$@"`;
  const { stdout, stderr } = spawnSync("sh", ["-c", command, "sh", process.execPath, ...args], {
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
  });
  return `${stdout}${stderr}`.trim();
}

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
