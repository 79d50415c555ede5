/** `demo`: runs examples/demo.ts in the runtime this was started with, else in Deno. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { demoPermissions } from "../bootstrap/permissions.mjs";
import { ROOT } from "../bootstrap/project.mjs";
import { ensureReady } from "../bootstrap/ready.mjs";
import { Failure, run } from "../bootstrap/run.mjs";

const PLACES = ["examples/demo.ts", "examples/demo/main.ts"];

export async function demo(args) {
  const file = PLACES.map((place) => join(ROOT, place)).find(existsSync);
  if (!file) throw new Failure(`There is no demo at ${PLACES[0]}`);
  const { deno, bun, library } = await ensureReady({
    libraries: true,
    runtimes: true,
    library: true,
  });
  const useBun = args.includes("--bun") || (startedByBun() && !args.includes("--deno"));
  const rest = args.filter((arg) => arg !== "--bun" && arg !== "--deno");
  const { code } = useBun
    ? await run(bun, ["run", file, ...rest])
    : await run(deno, ["run", "--no-check", ...demoPermissions(library), file, ...rest]);
  return code;
}

/** Also for `bun run demo`: its script is run by Node where there is one, and finds the starter's name. */
function startedByBun() {
  return Boolean(globalThis.Bun) || /^bun\//.test(process.env.npm_config_user_agent ?? "");
}
