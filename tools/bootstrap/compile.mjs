/**
 * Compiles C files into objects with the system's compiler, only those that changed.
 *
 * An object is up to date while it is newer than every file its dependency list (-MMD) names. The
 * folder of the objects carries a hash of compiler and flags, so changed flags start anew.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { ROOT } from "./project.mjs";
import { outputOf, run } from "./run.mjs";

/** The warnings of build.zig; a plain cc may be of any age, so only the tests make them errors. */
export const WARNINGS = [
  "-Wall",
  "-Wextra",
  "-Wpedantic",
  "-Wshadow",
  "-Wundef",
  "-Wcast-align",
  "-Wstrict-prototypes",
  "-Wmissing-prototypes",
  "-Wvla",
];
export const LANGUAGE = ["-std=c11", "-D_GNU_SOURCE", "-DLSM_BUILDING", "-fvisibility=hidden"];
export const INCLUDES = ["-Icsrc", "-Itests"];

/** The C compiler: CC, else cc, gcc or clang; undefined if there is none. */
export function findCompiler() {
  const candidates = process.env.CC ? [process.env.CC] : ["cc", "gcc", "clang"];
  return candidates.find((name) => outputOf(name, ["--version"]));
}

/**
 * Compiles `sources` (paths from the root) into `folder`.
 *
 * @returns {Promise<{ objects: string[], failures: { source: string, output: string }[] }>}
 *   Objects in the order of the sources, without those that failed.
 */
export async function compileAll(compiler, sources, flags, folder) {
  const key = createHash("sha256").update([compiler, ...flags].join("\0")).digest("hex").slice(
    0,
    8,
  );
  const base = join(folder, key);
  const failures = [];
  const objects = await parallel(sources, async (source) => {
    const object = join(base, `${source.replaceAll("/", "__")}.o`);
    if (isUpToDate(object)) return object;
    mkdirSync(dirname(object), { recursive: true });
    const args = [...flags, "-MMD", "-c", source, "-o", object];
    const { code, output } = await run(compiler, args, { capture: true });
    if (code === 0) return object;
    failures.push({ source, output });
    return undefined;
  });
  return { objects: objects.filter((object) => object !== undefined), failures };
}

function isUpToDate(object) {
  const list = object.replace(/\.o$/, ".d");
  if (!existsSync(object) || !existsSync(list)) return false;
  const made = statSync(object).mtimeMs;
  const files = readFileSync(list, "utf8").replace(/^[^:]*:/, "").replaceAll("\\\n", " ").trim();
  return files.split(/\s+/).every((file) => {
    const path = join(ROOT, file);
    const onDisk = file.startsWith("/") ? file : path;
    return existsSync(onDisk) && statSync(onDisk).mtimeMs < made;
  });
}

/** Maps with as many workers as there are processors; results keep their order. */
export async function parallel(items, work) {
  const results = new Array(items.length);
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index]);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, availableParallelism()) }, worker));
  return results;
}
