/**
 * Builds the shared library of this machine: with Zig, else with the system's C compiler.
 *
 * LSM_BUILD=zig or LSM_BUILD=cc decides; unset, cc is taken only where Zig cannot be installed. Both
 * leave the same file at the same place. What users get is always built by Zig.
 */
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { compileAll, findCompiler, INCLUDES, LANGUAGE } from "./compile.mjs";
import { CACHE, hostTarget, libraryPath, TARGETS } from "./project.mjs";
import { Failure, run, runOrFail } from "./run.mjs";
import { listedSources, sourceListProblems, sourcesFor } from "./sources.mjs";
import { ensureZig, zigEnv } from "./zig.mjs";

/** Builds what changed and returns the library's absolute path. */
export async function ensureLibrary() {
  const target = hostTarget();
  checkSourceList();
  const zig = await zigUnlessCc();
  if (zig) await zigBuild(zig, ["lib", `-Dfor=${target}`]);
  else await buildWithCompiler(target);
  const library = libraryPath(target);
  if (!existsSync(library)) throw new Failure(`The build left no library at ${library}`);
  return library;
}

/** Builds the libraries of all targets; needs Zig. */
export async function buildAllTargets() {
  checkSourceList();
  await zigBuild(await ensureZig(), ["cross"]);
  return TARGETS.map(libraryPath);
}

/** Said here in words, before a compiler says it in its own. */
function checkSourceList() {
  const problems = sourceListProblems();
  if (problems.length === 0) return;
  throw new Failure(
    `csrc/sources.zon: ${problems.join("; ")}`,
    "node tools/sources.mjs --write lists the C files anew; then look at the difference",
  );
}

async function zigUnlessCc() {
  if (process.env.LSM_BUILD === "cc") return undefined;
  try {
    return await ensureZig();
  } catch (failure) {
    if (process.env.LSM_BUILD === "zig" || !findCompiler()) throw failure;
    console.error(`${failure.message}\nBuilding with the system's C compiler instead.`);
    return undefined;
  }
}

async function zigBuild(zig, args) {
  await runOrFail(zig, ["build", ...args], { env: zigEnv() });
}

async function buildWithCompiler(target) {
  const compiler = findCompiler();
  if (!compiler) {
    throw new Failure("There is no C compiler", "install gcc or clang, or unset LSM_BUILD for Zig");
  }
  const sources = sourcesFor(process.platform, listedSources()).map((path) => `csrc/${path}`);
  const sections = ["-ffunction-sections", "-fdata-sections"];
  const flags = [...LANGUAGE, ...INCLUDES, "-O2", "-DNDEBUG", "-fPIC", ...sections];
  const { objects, failures } = await compileAll(compiler, sources, flags, join(CACHE, "cc"));
  if (failures.length > 0) {
    throw new Failure(
      `${compiler} failed:\n${failures.map((failure) => failure.output).join("\n")}`,
    );
  }
  const library = libraryPath(target);
  const fresh = `${library}.new`;
  mkdirSync(dirname(library), { recursive: true });
  const kind = target.startsWith("darwin")
    ? ["-dynamiclib", "-install_name", "@rpath/liblsm.dylib"]
    : ["-shared"];
  const { code, output } = await run(compiler, [...kind, "-o", fresh, ...objects, "-pthread"], {
    capture: true,
  });
  if (code !== 0) throw new Failure(`${compiler} cannot link the library:\n${output}`);
  renameSync(fresh, library); // a process that has the old one open keeps it
}
