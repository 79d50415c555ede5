// Whole programs: the examples run with the one permission Deno needs, and leave their data behind.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Lsm } from "../../mod.ts";
import { isDeno, runProgram } from "./program.ts";
import { place } from "./support.ts";

const examples = fileURLToPath(new URL("../../examples", import.meta.url));

test("the quick start prints what it says", () => {
  using at = place();
  const { status, output, errors } = runProgram(at, join(examples, "quickstart.ts"));
  assert.equal(errors, "");
  assert.equal(status, 0);
  assert.deepEqual(output.trim().split("\n"), [
    "red",
    '[ "fruit:lemon", "yellow" ]',
    "fruit:lemon is yellow",
    "fruit:apple is red",
    "false 3",
  ]);
  using db = new Lsm(at.file("quickstart.ldb"));
  assert.equal(db.count(), 3);
});

test("without the permission the error says what to add", { skip: !isDeno }, () => {
  using at = place();
  const { status, errors } = runProgram(at, join(examples, "quickstart.ts"), []);
  assert.notEqual(status, 0);
  assert.match(errors, /Cannot load the native library/);
  assert.match(errors, /Run with --allow-ffi=/);
});
