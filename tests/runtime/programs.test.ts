// Whole programs: the examples run with the one permission Deno needs, and leave their data behind.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
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
  assert.deepEqual([...db.keys()], ["bench:oak", "fruit:apple", "fruit:lemon"]);
  assert.deepEqual([...db.values()], ["new", "red", "yellow"]); // all of it can be read
});

for (const name of ["quickstart.ts", "python_readme.ts"]) {
  test(`the command at the top of ${name} is enough, again and again`, { skip: !isDeno }, () => {
    const file = join(examples, name);
    const command = /^ \*\s+deno run (.*) examples\/(.*)$/m.exec(readFileSync(file, "utf8"));
    assert.deepEqual(command?.slice(1), ["--allow-ffi=zig-out/lib", name]);
    using at = place();
    const first = runProgram(at, file);
    assert.equal(first.status, 0, first.errors);
    assert.deepEqual(runProgram(at, file), first);
  });
}

test("without the permission the error says what to add", { skip: !isDeno }, () => {
  using at = place();
  const { status, errors } = runProgram(at, join(examples, "quickstart.ts"), []);
  assert.notEqual(status, 0);
  assert.match(errors, /Cannot load the native library/);
  assert.match(errors, /run with --allow-ffi=/);
});
