/** The README's example is examples/quickstart.ts, and what its comments promise is what it prints. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const QUICKSTART = join(ROOT, "examples", "quickstart.ts");

test("the README's first example is the quickstart", () => {
  const readme = /```ts\n([^`]*(?:`[^`]+`[^`]*)*?)```/.exec(
    readFileSync(join(ROOT, "README.md"), "utf8"),
  );
  const source = readFileSync(QUICKSTART, "utf8");
  const body = source.slice(source.indexOf("import { Lsm }")).replace(
    '"../mod.ts"',
    '"@lsmdb/lsm"',
  );
  assert.equal((readme?.[1] ?? "").trim(), body.trim());
});

test("the quickstart prints what its comments say", () => {
  const folder = mkdtempSync(join(tmpdir(), "lsm-quickstart-"));
  try {
    const args = "Bun" in globalThis ? ["run", QUICKSTART] : [
      "run",
      "--no-check",
      "--no-prompt",
      `--allow-ffi=${join(ROOT, "zig-out", "lib")}`,
      QUICKSTART,
    ];
    const result = spawnSync(process.execPath, args, {
      cwd: folder,
      encoding: "utf8",
      env: { ...process.env, NO_COLOR: "1" },
    });
    assert.equal(result.status, 0, result.stderr);
    assert.deepEqual(result.stdout.trim().split("\n"), [
      "red",
      '[ "fruit:lemon", "yellow" ]',
      "fruit:lemon is yellow",
      "fruit:apple is red",
      "false 3",
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
