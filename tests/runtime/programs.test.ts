// Whole programs: the examples run with the one permission Deno needs, and leave their data behind.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Lsm, version } from "../../mod.ts";
import { place } from "./support.ts";
import type { Place } from "./support.ts";

/** The part of the `Deno` object used here. */
interface DenoNamespace {
  readonly Command: new (program: string, options: unknown) => {
    outputSync(): { code: number; stdout: Uint8Array; stderr: Uint8Array };
  };
}

const { Deno: deno } = globalThis as { Deno?: DenoNamespace };
const examples = fileURLToPath(new URL("../../examples", import.meta.url));
const permission = `--allow-ffi=${dirname(version.library)}`;

/** Runs a program in a folder of its own, in Deno with no permission but that for the library. */
function runIn(at: Place, file: string, permissions: readonly string[] = [permission]) {
  if (deno !== undefined) {
    // Not through node:child_process: for a Deno that is started from Deno it adds all permissions.
    const args = ["run", "--no-prompt", "--no-check", ...permissions, file];
    const options = { args, cwd: at.folder, env: { NO_COLOR: "1" } };
    const { code, stdout, stderr } = new deno.Command(process.execPath, options).outputSync();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { status: code, output: text(stdout), errors: text(stderr) };
  }
  const result = spawnSync(process.execPath, ["run", file], {
    cwd: at.folder,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1", LSM_LIBRARY: version.library },
  });
  return { status: result.status, output: result.stdout, errors: result.stderr };
}

test("the quick start prints what it says", () => {
  using at = place();
  const { status, output, errors } = runIn(at, join(examples, "quickstart.ts"));
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

test("without the permission the error says what to add", { skip: deno === undefined }, () => {
  using at = place();
  const { status, errors } = runIn(at, join(examples, "quickstart.ts"), []);
  assert.notEqual(status, 0);
  assert.match(errors, /Cannot load the native library/);
  assert.match(errors, /Run with --allow-ffi=/);
});
