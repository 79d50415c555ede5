/** `cross`: builds all targets and compares what they export with the headers. */
import { buildAllTargets } from "../bootstrap/build.mjs";
import { withLock } from "../bootstrap/lock.mjs";
import { ensureReady } from "../bootstrap/ready.mjs";
import { run } from "../bootstrap/run.mjs";

export async function cross() {
  const { deno } = await ensureReady({ libraries: true, runtimes: true });
  await withLock(buildAllTargets);
  const tool = ["run", "--no-prompt", "--allow-read", "tools/check_symbols.ts", "--all"];
  const { code } = await run(deno, tool);
  return code;
}
