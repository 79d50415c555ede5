/**
 * `test [c] [deno] [bun] [name ...]`: the C tests, then the runtime tests on Deno and on Bun.
 *
 * Every runner prints its own report. Their counts are added up from what the runners themselves
 * wrote: the closing line of the C tests and the JUnit files of both runtimes.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { testPermissions } from "../bootstrap/permissions.mjs";
import { CACHE, ROOT } from "../bootstrap/project.mjs";
import { ensureReady } from "../bootstrap/ready.mjs";
import { run } from "../bootstrap/run.mjs";
import { runCTests } from "../ctest.mjs";

const FOLDERS = ["tests/runtime", "tests/compat"];
const REPORTS = join(CACHE, "reports");
const COUNTS = join(REPORTS, "counts.json");
const RUNNERS = { c: "C", deno: "Deno", bun: "Bun" };

export async function test(args) {
  const chosen = args.filter((arg) => Object.hasOwn(RUNNERS, arg));
  const words = args.filter((arg) => !Object.hasOwn(RUNNERS, arg));
  const runners = chosen.length > 0 ? chosen : Object.keys(RUNNERS);
  const inRuntime = runners.some((runner) => runner !== "c");
  const needs = { libraries: inRuntime, runtimes: inRuntime, library: inRuntime };
  const ready = await ensureReady(needs);
  mkdirSync(REPORTS, { recursive: true });
  rmSync(COUNTS, { force: true }); // an interrupted run leaves no old counts behind

  const results = [];
  for (const runner of runners) {
    console.log(`\n==== ${RUNNERS[runner]} tests`);
    results.push({ runner, ...await start(runner, words, ready) });
  }
  return report(results);
}

function start(runner, words, ready) {
  if (runner === "c") return runCTests({ words });
  const files = testFiles(words);
  if (files.length === 0) return { passed: 0, failed: 0 };
  return runner === "deno" ? runDeno(files, ready) : runBun(files, ready);
}

/** Runtime tests are `*.test.ts` in any depth, a pattern both runtimes take for tests. */
function testFiles(words) {
  return FOLDERS.filter((folder) => existsSync(join(ROOT, folder)))
    .flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true })
        .map((name) => `./${folder}/${name.replaceAll("\\", "/")}`)
    )
    .filter((file) => file.endsWith(".test.ts"))
    .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
    .sort();
}

async function runDeno(files, { deno, library }) {
  const junit = freshReport("deno");
  const args = ["test", "--no-check", ...testPermissions(library), `--junit-path=${junit}`];
  return counted(await run(deno, [...args, ...files]), junit);
}

async function runBun(files, { bun }) {
  const junit = freshReport("bun");
  const args = ["test", "--timeout=120000", "--reporter=junit", `--reporter-outfile=${junit}`];
  return counted(await run(bun, [...args, ...files]), junit);
}

function freshReport(name) {
  const file = join(REPORTS, `${name}.xml`);
  rmSync(file, { force: true });
  return file;
}

/**
 * The counts of a JUnit file. A group is no test of its own: Deno writes a case "group" beside its
 * "group > test". A runner that failed without naming a failed test is one failure.
 */
function counted({ code }, junit) {
  const text = existsSync(junit) ? readFileSync(junit, "utf8") : "";
  const cases = [...text.matchAll(/<testcase name="([^"]*)"[^>]*?(?:\/>|>([\s\S]*?)<\/testcase>)/g)]
    .map(([, name, body = ""]) => ({ name, body }));
  const tests = cases.filter(({ name }) =>
    !cases.some((other) =>
      other.name.startsWith(`${name} &gt; `) || other.name.startsWith(`${name} > `)
    )
  );
  const failed = tests.filter(({ body }) => /<(failure|error)\b/.test(body)).length;
  const skipped = tests.filter(({ body }) => /<skipped\b/.test(body)).length;
  const passed = tests.length - failed - skipped;
  return { passed, failed: code !== 0 && failed === 0 ? 1 : failed, skipped };
}

function report(results) {
  console.log("");
  for (const { runner, passed, failed, skipped = 0 } of results) {
    const note = skipped > 0 ? `, ${skipped} skipped` : "";
    console.log(`${`${RUNNERS[runner]}:`.padEnd(6)}${passed} passed, ${failed} failed${note}`);
  }
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.reduce((sum, result) => sum + result.failed, 0);
  writeFileSync(COUNTS, `${JSON.stringify({ passed, failed, results })}\n`);
  console.log(`${passed} passed, ${failed} failed`);
  if (passed + failed === 0) console.log("No test was found.");
  return failed > 0 || passed === 0 ? 1 : 0;
}
