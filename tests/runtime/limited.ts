/**
 * Runs programs that can make no long file: a limit on the size of files stands in for a full
 * device.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { Lsm } from "../../mod.ts";
import type { Place } from "./support.ts";

const door = new URL("../../mod.ts", import.meta.url).href;

/** Why tests with a limit cannot run here, if so. */
export const withoutLimits: string | false = process.platform === "win32"
  ? "there is no such limit"
  : false;

/** A database of a megabyte, so that all that is added lies beyond the limit. */
export function large(at: Place): void {
  using db = new Lsm(at.file());
  for (let i = 0; i < 1000; i++) db.set(`${i}`, "v".repeat(1000));
}

/**
 * Runs a program that can make no file longer than 256 or 512 KB, depending on the shell. The
 * constant `path` in it is that of the test's database.
 */
export function limited(at: Place, source: string): string {
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
