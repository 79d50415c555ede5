/**
 * `bench [word ...]`: benchmarks of the library, on Deno and then on Bun.
 * `bench engine|large|calls [NAME=VALUE ...]`: the C engine against others, with databases larger
 * than memory, and its system calls; `bench readme`: tables of the results. See bench_NAME.mjs.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { testPermissions } from "../bootstrap/permissions.mjs";
import { ROOT } from "../bootstrap/project.mjs";
import { ensureReady } from "../bootstrap/ready.mjs";
import { Failure, run } from "../bootstrap/run.mjs";
import { benchCalls } from "./bench_calls.mjs";
import { benchEngine } from "./bench_engine.mjs";
import { benchLarge } from "./bench_large.mjs";
import { benchReadme } from "./bench_tables.mjs";

const FOLDER = "benches/runtime";
const GROUPS = {
  engine: benchEngine,
  large: benchLarge,
  calls: benchCalls,
  readme: benchReadme,
};

export async function bench(words) {
  if (Object.hasOwn(GROUPS, words[0] ?? "")) return await GROUPS[words[0]](words.slice(1));
  const files = benchFiles(words);
  if (files.length === 0) throw new Failure(`No *.bench.ts in ${FOLDER} has such a name`);
  const { deno, bun, library } = await ensureReady({
    libraries: true,
    runtimes: true,
    library: true,
  });
  let worst = 0;
  for (const file of files) {
    const permissions = testPermissions(library);
    console.log(`\n==== ${file} on Deno`);
    worst = Math.max(worst, (await run(deno, ["run", "--no-check", ...permissions, file])).code);
    console.log(`\n==== ${file} on Bun`);
    worst = Math.max(worst, (await run(bun, ["run", file])).code);
  }
  return worst;
}

function benchFiles(words) {
  if (!existsSync(join(ROOT, FOLDER))) return [];
  return readdirSync(join(ROOT, FOLDER))
    .filter((name) => name.endsWith(".bench.ts"))
    .filter((name) => words.length === 0 || words.some((word) => name.includes(word)))
    .sort()
    .map((name) => `${FOLDER}/${name}`);
}
