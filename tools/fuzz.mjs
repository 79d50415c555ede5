/**
 * Builds the fuzz targets with clang and runs them.
 *
 *     node tools/fuzz.mjs                    every target, 100,000 runs each
 *     node tools/fuzz.mjs log 10000000       one target, so many runs
 *     node tools/fuzz.mjs --list             the names of the targets
 *     node tools/fuzz.mjs --build            compile only
 *     node tools/fuzz.mjs log 0 -max_total_time=600     anything with a dash goes to libFuzzer
 *
 * The committed corpus of a target (tests/fuzz/corpus/<target>) is read and never written; what is found
 * new goes to .cache/fuzz/corpus/<target>. A finding leaves its input in .cache/fuzz/findings: keep it in
 * the committed corpus under a name that says what it was, once the bug is repaired.
 *
 * Needs clang with libFuzzer (Debian: clang and libclang-rt-*-dev). CLANG names another compiler.
 */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { compileAll, INCLUDES, LANGUAGE, WARNINGS } from "./bootstrap/compile.mjs";
import { CACHE, ROOT } from "./bootstrap/project.mjs";
import { Failure, outputOf, run } from "./bootstrap/run.mjs";
import { sourcesFor, sourcesOnDisk } from "./bootstrap/sources.mjs";

const FOLDER = "tests/fuzz";
const ENDING = "_fuzz.c";
const BUILD = join(CACHE, "fuzz");
const RUNS = 100_000;
const SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"];
const FLAGS = [
  ...LANGUAGE,
  ...INCLUDES,
  ...WARNINGS,
  "-Werror",
  "-Wno-unused-function", // a target need not use all of fuzz.h
  "-g",
  "-O2",
  "-fno-omit-frame-pointer",
  ...SANITIZERS,
  "-fsanitize=fuzzer-no-link",
  // Watching every comparison halves the speed, and finds little where sums are repaired.
  "-fno-sanitize-coverage=trace-cmp,indirect-calls",
];
/** Seconds for one input, megabytes for the process: more is a finding. The rest is for speed. */
const LIMITS = ["-timeout=10", "-rss_limit_mb=1024", "-entropic=0", "-detect_leaks=0"];
/** Most memory comes from tests/fuzz/fuzz_arena.h, which also sees what was left allocated. */
const ASAN = "quarantine_size_mb=2:malloc_context_size=0:allocator_release_to_os_interval_ms=-1";
const ENV = { ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? ASAN };
/** Longest input that mutations make. */
const LENGTHS = {
  meta_page: 1500,
  page: 1200,
  log: 1200,
  open: 320,
  memtree: 256,
  segment: 160,
  bulk: 256,
};

export function targets() {
  return readdirSync(join(ROOT, FOLDER))
    .filter((name) => name.endsWith(ENDING))
    .map((name) => name.slice(0, -ENDING.length))
    .sort();
}

/** @param {string[]} args */
export async function fuzz(args) {
  if (args.includes("--list")) {
    console.log(targets().join("\n"));
    return 0;
  }
  const extra = args.filter((arg) => arg.startsWith("-") && arg !== "--build");
  const runs = args.find((arg) => /^\d[\d_]*$/.test(arg))?.replaceAll("_", "") ?? String(RUNS);
  const names = args.filter((arg) => /^[a-z]/.test(arg));
  const unknown = names.find((name) => !targets().includes(name));
  if (unknown) throw new Failure(`There is no fuzz target ${unknown}`, targets().join(", "));
  const chosen = names.length > 0 ? names : targets();

  const programs = await build(chosen);
  if (args.includes("--build")) return 0;
  let worst = 0;
  for (const name of chosen) {
    console.log(`\n==== ${name}`);
    worst = Math.max(worst, await runTarget(name, programs[name], runs, extra));
  }
  return worst;
}

async function build(names) {
  const clang = findClang();
  const sources = sourcesFor(process.platform, sourcesOnDisk()).map((path) => `csrc/${path}`);
  const engine = await archive(await compileAll(clang, sources, FLAGS, BUILD));
  const programs = {};
  for (const name of names) {
    const source = `${FOLDER}/${name}${ENDING}`;
    const { objects: [object], failures } = await compileAll(clang, [source], FLAGS, BUILD);
    if (failures.length > 0) throw new Failure(failures[0].output);
    mkdirSync(join(BUILD, "bin"), { recursive: true });
    programs[name] = join(BUILD, "bin", name);
    const link = [...SANITIZERS, "-fsanitize=fuzzer", object, engine, "-pthread", "-lm"];
    const { code, output } = await run(clang, [...link, "-o", programs[name]], { capture: true });
    if (code !== 0) throw new Failure(`Cannot link ${name}:\n${output}`);
  }
  return programs;
}

/** Of an archive a target takes only what it needs: one layer is fuzzed while another is rebuilt. */
async function archive({ objects, failures }) {
  for (const { source, output } of failures) console.log(`${source} does not compile\n${output}`);
  const path = join(BUILD, "engine.a");
  rmSync(path, { force: true });
  const { code, output } = await run("ar", ["rcs", path, ...objects], { capture: true });
  if (code !== 0) throw new Failure(`ar failed:\n${output}`);
  return path;
}

function findClang() {
  const versions = Array.from({ length: 10 }, (_, i) => `clang-${22 - i}`);
  const names = process.env.CLANG ? [process.env.CLANG] : ["clang", ...versions];
  const clang = names.find((name) => outputOf(name, ["--version"]));
  if (clang) return clang;
  throw new Failure("Fuzzing needs clang with libFuzzer", "Debian: apt-get install clang");
}

async function runTarget(name, program, runs, extra) {
  const found = join(BUILD, "corpus", name);
  const findings = join(BUILD, "findings", `${name}-`);
  const kept = join(ROOT, FOLDER, "corpus", name);
  for (const folder of [found, kept, join(BUILD, "findings")]) {
    mkdirSync(folder, { recursive: true });
  }
  const args = [`-runs=${runs === "0" ? "-1" : runs}`, `-artifact_prefix=${findings}`, ...LIMITS];
  args.push(`-max_len=${LENGTHS[name] ?? 512}`, "-print_final_stats=1", ...extra, found, kept);
  const { code } = await run(program, args, { env: ENV });
  return code;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    process.exitCode = await fuzz(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Failure ? error.message : error);
    process.exitCode = 1;
  }
}
