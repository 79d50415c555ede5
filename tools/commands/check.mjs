/** `check`: what can be said about the code without running it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { ROOT } from "../bootstrap/project.mjs";
import { ensureReady } from "../bootstrap/ready.mjs";
import { run } from "../bootstrap/run.mjs";
import { runSteps } from "./steps.mjs";

/** Folders and files with TypeScript of ours; those that exist are checked. */
const TYPESCRIPT = ["mod.ts", "src", "ffi", "tests", "benches", "examples", "tools"];

export async function check(args = []) {
  const { deno } = await ensureReady({ libraries: true, runtimes: true });
  return runSteps(checkSteps(deno).filter(({ name }) => wanted(name, args)));
}

export function checkSteps(deno) {
  const tool = (...args) => quiet(deno, ["run", "--no-prompt", "--allow-read", ...args]);
  const present = TYPESCRIPT.filter((path) => existsSync(join(ROOT, path)));
  return [
    { name: "format", work: () => quiet(deno, ["fmt", "--check", ...present]) },
    { name: "lint", work: () => quiet(deno, ["lint", ...present]) },
    { name: "types (Deno)", work: () => quiet(deno, ["check", ...present]) },
    { name: "types (tsc, Bun)", work: checkWithTsc },
    { name: "list of C sources", work: () => quiet(process.execPath, ["tools/sources.mjs"]) },
    { name: "layers", work: () => tool("tools/include_graph.ts", ...pictureCheck()) },
    { name: "build", work: buildLibrary },
    { name: "symbols", work: () => tool("tools/check_symbols.ts") },
    { name: "one version", work: checkVersions },
    { name: "defects", work: () => tool("tools/check_defects.ts") },
    { name: "tables of benchmarks", work: checkTables },
  ];
}

function wanted(name, args) {
  return args.length === 0 || args.some((word) => name.includes(word));
}

/** Undefined if the program succeeds, else its output. */
async function quiet(program, args) {
  const { code, output } = await run(program, args, { capture: true, env: { NO_COLOR: "1" } });
  return code === 0 ? undefined : output || `${program} failed (code ${code})`;
}

async function buildLibrary() {
  await ensureReady({ library: true });
}

function checkWithTsc() {
  if (!existsSync(join(ROOT, "mod.ts"))) return "mod.ts is missing";
  return quiet(process.execPath, ["node_modules/typescript/lib/tsc.js", "--project", "."]);
}

function pictureCheck() {
  const page = "docs/architecture.md";
  return existsSync(join(ROOT, page)) ? ["--check", page] : [];
}

function checkTables() {
  return quiet(process.execPath, ["tools/go.mjs", "bench", "readme", "check"]);
}

function checkVersions() {
  const [npm, jsr] = ["package.json", "deno.json"].map((name) =>
    JSON.parse(readFileSync(join(ROOT, name), "utf8"))
  );
  if (npm.version !== jsr.version) return `package.json ${npm.version}, deno.json ${jsr.version}`;
  const scripts = JSON.stringify(npm.scripts);
  return scripts === JSON.stringify(jsr.tasks) ? undefined : "scripts and tasks differ";
}
