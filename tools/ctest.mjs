/**
 * Compiles and runs the C tests under AddressSanitizer and UndefinedBehaviorSanitizer.
 *
 *     node tools/ctest.mjs                    all of tests/{unit,model,crash,fuzz}/*_test.c
 *     node tools/ctest.mjs varint segment     files whose path contains one of the words
 *     node tools/ctest.mjs varint -- name     only test cases whose name contains `name`
 *     node tools/ctest.mjs --tsan             *_thread_test.c under ThreadSanitizer
 *     node tools/ctest.mjs --canary           tests that must fail, to prove that the suite can
 *
 * Random tests take their seed from LSM_TEST_SEED; a failing one prints its own. A test program
 * links only those engine files it needs, so one layer can be tested while another does not compile.
 */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import {
  compileAll,
  findCompiler,
  INCLUDES,
  LANGUAGE,
  parallel,
  WARNINGS,
} from "./bootstrap/compile.mjs";
import { CACHE, ROOT } from "./bootstrap/project.mjs";
import { Failure, run } from "./bootstrap/run.mjs";
import { sourcesFor, sourcesOnDisk } from "./bootstrap/sources.mjs";

const FOLDERS = ["tests/unit", "tests/model", "tests/crash", "tests/fuzz"];
const TIMEOUT_MS = 10 * 60_000;
const CANARY = "tests/canary/canary_test.c";
const KINDS = {
  asan: ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
  tsan: ["-fsanitize=thread"],
};
const SANITIZER_ENV = {
  ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? "detect_leaks=1:strict_string_checks=1",
  UBSAN_OPTIONS: process.env.UBSAN_OPTIONS ?? "print_stacktrace=1",
  TSAN_OPTIONS: process.env.TSAN_OPTIONS ?? "halt_on_error=1",
};

/**
 * @param {{ words?: string[], cases?: string[], tsan?: boolean, canary?: boolean }} [options]
 * @returns {Promise<{ passed: number, failed: number }>} Test cases; a program that does not compile,
 *   crashes or times out counts as one failure.
 */
export async function runCTests(options = {}) {
  const { words = [], cases = [], tsan = false, canary = false } = options;
  const compiler = findCompiler();
  if (!compiler) throw new Failure("The C tests need a C compiler", "install gcc or clang");
  const files = canary ? [CANARY] : chosenFiles(words, tsan);
  if (files.length === 0) return { passed: 0, failed: 0 };

  const kind = tsan ? "tsan" : "asan";
  const folder = join(CACHE, "ctest", kind);
  const flags = [...LANGUAGE, ...INCLUDES, ...WARNINGS, "-Werror", ...KINDS[kind]];
  // These two of gcc guess wrong about code that carries sanitizer checks.
  flags.push("-g", "-O1", "-fno-omit-frame-pointer", "-Wno-maybe-uninitialized");
  flags.push("-Wno-format-truncation");
  const engine = await buildEngine(compiler, flags, folder);

  const total = { passed: 0, failed: 0 };
  await parallel(files, async (file) => {
    const program = await buildProgram(compiler, file, flags, folder, engine);
    const result = canary
      ? await runCanary(program)
      : program.failure ?? await runProgram(program.path, cases);
    total.passed += result.passed;
    total.failed += result.failed;
    const mark = result.failed > 0 ? "FAIL" : "pass";
    const counts = `${result.passed} passed, ${result.failed} failed`;
    console.log(`${mark}  ${file.padEnd(44)} ${counts}, ${result.seconds.toFixed(2)} s`);
    if (result.failed > 0) console.log(indent(result.output));
  });
  return total;
}

function chosenFiles(words, tsan) {
  const ending = tsan ? "_thread_test.c" : "_test.c";
  return FOLDERS.flatMap((folder) => listFolder(folder, ending))
    .filter((file) => words.length === 0 || words.some((word) => file.includes(word)));
}

function listFolder(folder, ending) {
  try {
    return readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith(ending))
      .sort()
      .map((name) => `${folder}/${name}`);
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
}

/** Compiles engine and test support into one archive; prints what does not compile and goes on. */
async function buildEngine(compiler, flags, folder) {
  const sources = sourcesFor(process.platform, sourcesOnDisk()).map((path) => `csrc/${path}`);
  sources.push(...listFolder("tests/support", ".c"));
  const { objects, failures } = await compileAll(compiler, sources, flags, folder);
  for (const failure of failures) {
    console.log(`FAIL  ${failure.source} does not compile\n${indent(failure.output)}`);
  }
  const archive = join(folder, `engine-${process.pid}.a`); // two runs may overlap
  process.once("exit", () => rmSync(archive, { force: true }));
  if (objects.length === 0) return undefined;
  const { code, output } = await run(process.env.AR ?? "ar", ["rcs", archive, ...objects], {
    capture: true,
  });
  if (code !== 0) throw new Failure(`ar failed:\n${output}`);
  return archive;
}

async function buildProgram(compiler, file, flags, folder, engine) {
  const { objects, failures } = await compileAll(compiler, [file], flags, folder);
  if (failures.length > 0) return { failure: failureOf(failures[0].output) };
  mkdirSync(join(folder, "bin"), { recursive: true });
  const path = join(folder, "bin", basename(file, ".c"));
  const args = [...flags, ...objects, ...(engine ? [engine] : []), "-o", path, "-pthread", "-lm"];
  const { code, output } = await run(compiler, args, { capture: true });
  return code === 0 ? { path } : { failure: failureOf(output) };
}

function failureOf(output) {
  return { passed: 0, failed: 1, seconds: 0, output };
}

async function runProgram(path, cases) {
  const start = performance.now();
  const { code, output } = await run(path, cases, {
    capture: true,
    env: SANITIZER_ENV,
    timeoutMs: TIMEOUT_MS,
  });
  const seconds = (performance.now() - start) / 1000;
  const counts = /^(\d+) passed, (\d+) failed$/m.exec(output);
  if (!counts) return { passed: 0, failed: 1, seconds, output: `code ${code}\n${output}` };
  const passed = Number(counts[1]);
  const failed = Number(counts[2]);
  // A leak is reported after the last test: all passed, and yet the program failed.
  return { passed, failed: code !== 0 && failed === 0 ? 1 : failed, seconds, output };
}

/** Every case of the canary must fail, each for its own reason. */
async function runCanary(program) {
  if (program.failure) return program.failure;
  const list = await run(program.path, ["--list"], { capture: true });
  const result = { passed: 0, failed: 0, seconds: 0, output: "" };
  for (const name of list.output.trim().split("\n")) {
    const { failed, seconds } = await runProgram(program.path, [name]);
    result.seconds += seconds;
    if (failed > 0) result.passed++;
    else {
      result.failed++;
      result.output += `${name} passed, but it must fail\n`;
    }
  }
  return result;
}

function indent(text) {
  return text.trimEnd().replace(/^/gm, "      ");
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const args = process.argv.slice(2);
  const dashes = args.indexOf("--");
  const before = dashes < 0 ? args : args.slice(0, dashes);
  const total = await runCTests({
    words: before.filter((arg) => !arg.startsWith("--")),
    cases: dashes < 0 ? [] : args.slice(dashes + 1),
    tsan: before.includes("--tsan"),
    canary: before.includes("--canary"),
  });
  console.log(`${total.passed} passed, ${total.failed} failed`);
  process.exitCode = total.failed > 0 ? 1 : 0;
}
