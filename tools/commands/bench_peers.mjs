/**
 * The engines that `bench engine` compares: each a back end in benches/engine/, compiled with the
 * driver to a program of its own. What is not installed here is left out, with a line that says so.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { findCompiler, LANGUAGE, WARNINGS } from "../bootstrap/compile.mjs";
import { CACHE, IS_WINDOWS, ROOT } from "../bootstrap/project.mjs";
import { ensureReady } from "../bootstrap/ready.mjs";
import { Failure, outputOf, run } from "../bootstrap/run.mjs";

const SOURCES = "benches/engine";
const PYTHON = IS_WINDOWS ? "python" : "python3";
const LSM1_VERSION = "0.7.3";

/**
 * @typedef {object} Engine
 * @property {string} name
 * @property {string} program The driver with this engine's back end.
 * @property {string[]} words Options of the driver that belong to the engine.
 * @property {Record<string, string>} env
 * @property {string} version Empty: not known, or not until the program has told it.
 */

/**
 * Builds what can be built here.
 *
 * @param {string[]} names Of the engines wanted; none: all.
 * @param {string} [library] A build of ours to be taken instead of making it.
 * @returns {Promise<Engine[]>} Ours first.
 */
export async function ensureEngines(names, library) {
  const compiler = findCompiler();
  if (!compiler) throw new Failure("The benchmarks need a C compiler", "install gcc or clang");
  const engines = [];
  for (const { name, make } of ENGINES) {
    if (names.length > 0 && !names.includes(name)) continue;
    const result = await make(compiler, library);
    if (typeof result === "string") console.log(`${name} is left out: ${result}`);
    else engines.push({ name, words: [], env: {}, ...result });
  }
  return engines;
}

const ENGINES = [
  { name: "ours", make: ours },
  { name: "lsm1", make: lsm1 },
  { name: "lmdb", make: (cc) => peer(cc, "lmdb", "lmdb.h", "liblmdb-dev") },
  { name: "leveldb", make: (cc) => peer(cc, "leveldb", "leveldb/c.h", "libleveldb-dev") },
  { name: "rocksdb", make: (cc) => peer(cc, "rocksdb", "rocksdb/c.h", "librocksdb-dev") },
];

async function ours(compiler, given) {
  const library = given ? resolve(given) : (await ensureReady({ library: true })).library;
  const program = await buildProgram(compiler, "lsm", ["-ldl"]);
  return { program, words: [`library=${library}`], version: outputOf("git", GIT_VERSION) ?? "" };
}
const GIT_VERSION = ["-C", ROOT, "describe", "--always", "--dirty"];

/** The published LSM1: the extension module of Python's lsm-db exports the functions of lsm.h. */
async function lsm1(compiler) {
  const folder = lsm1Package();
  if (!folder) return "pip cannot install the wheel of tests/compat/python/requirements.txt";
  const module = readdirSync(folder).find((name) => /^lsm\..*\.(so|pyd|dylib)$/.test(name));
  if (!module) return "the wheel has no extension module";
  const python = pythonLibrary();
  if (!python) return "this Python has no shared library, which the extension module needs";
  return {
    program: await buildProgram(compiler, "lsm", ["-ldl"]),
    words: [`library=${join(folder, module)}`],
    env: process.platform === "darwin" ? { DYLD_INSERT_LIBRARIES: python } : { LD_PRELOAD: python },
    version: `lsm-db ${LSM1_VERSION}`,
  };
}

/** The folder with the package, installed by hash the first time; undefined: not to be had here. */
function lsm1Package() {
  const version = outputOf(PYTHON, ["-c", "import sys; print('%d%d' % sys.version_info[:2])"]);
  if (!version) return undefined;
  const target = join(CACHE, `lsm-db-${LSM1_VERSION}-py${version}`);
  if (existsSync(target)) return target;
  mkdirSync(CACHE, { recursive: true });
  const fresh = mkdtempSync(`${target}-`);
  const requirements = join(ROOT, "tests", "compat", "python", "requirements.txt");
  const pip = ["-m", "pip", "install", "--quiet", "--no-compile", "--no-deps"];
  const pinned = ["--only-binary", ":all:", "--require-hashes", "-r", requirements];
  const { status } = spawnSync(PYTHON, [...pip, ...pinned, "--target", fresh], { stdio: "ignore" });
  try {
    if (status === 0) renameSync(fresh, target);
  } catch {
    // another run was first
  }
  rmSync(fresh, { recursive: true, force: true });
  return existsSync(target) ? target : undefined;
}

function pythonLibrary() {
  const code = "import sysconfig as s; v = s.get_config_var; " +
    "print(v('LIBDIR') + '/' + v('LDLIBRARY') if v('Py_ENABLE_SHARED') else '')";
  const path = outputOf(PYTHON, ["-c", code]);
  return path && existsSync(path) ? path : undefined;
}

async function peer(compiler, name, header, packageName) {
  const probe = { input: `#include <${header}>\n`, stdio: ["pipe", "ignore", "ignore"] };
  if (spawnSync(compiler, ["-E", "-x", "c", "-"], probe).status !== 0) {
    return `no ${header} (Debian: ${packageName})`;
  }
  // Some tell their version themselves, later.
  const version = outputOf("pkg-config", ["--modversion", name]) ?? "";
  return { program: await buildProgram(compiler, name, [`-l${name}`]), version };
}

async function buildProgram(compiler, name, libraries) {
  const program = join(CACHE, "bench", `engine_bench_${name}`);
  mkdirSync(join(CACHE, "bench"), { recursive: true });
  const flags = [...LANGUAGE, ...WARNINGS, "-O2", "-Icsrc", `-I${SOURCES}`];
  const files = ["engine_bench.c", "process_facts.c", `backend_${name}.c`];
  const sources = files.map((file) => `${SOURCES}/${file}`);
  // process_facts.c stands in front of functions of the C library.
  const shown = process.platform === "linux" ? ["-Wl,--export-dynamic"] : [];
  const args = [...flags, ...sources, "-o", program, ...libraries, "-pthread", ...shown];
  const { code, output } = await run(compiler, args, { capture: true });
  if (code !== 0) throw new Failure(`${compiler} cannot build the driver of ${name}:\n${output}`);
  return program;
}
