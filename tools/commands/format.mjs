/** `fmt`: formats TypeScript, JavaScript and JSON, and build.zig where Zig is installed. */
import { join } from "node:path";
import { ROOT } from "../bootstrap/project.mjs";
import { ensureReady } from "../bootstrap/ready.mjs";
import { run } from "../bootstrap/run.mjs";

export async function format(args) {
  const { deno } = await ensureReady({ runtimes: true });
  const paths = args.length > 0 ? args : [join(ROOT, ".")];
  const { code } = await run(deno, ["fmt", "--quiet", ...paths]);
  return code;
}
