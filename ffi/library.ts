/**
 * Where the shared library is, and what to say when it is not there.
 *
 * Places, in this order; the first library that loads and speaks our version of the interface wins:
 *
 * 1. the option `library`            | if either is given, nothing else is tried
 * 2. the variable `LSM_LIBRARY`      |
 * 3. a development tree: `zig-out/lib/<target>/` beside this folder
 * 4. the npm package `@lsmdb/lsm-<target>`, which in a program of `bun build --compile` is inside it
 *
 * Nothing is probed with file functions: they would need a permission of their own. Loading is the probe.
 * Files that may be loaded without asking come first, so that nobody is asked about a file that may not exist.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { LsmError } from "../src/errors.ts";
import { ABI } from "./frames.ts";
import type { Native } from "./native.ts";
import type { Runtime, Target } from "./runtime.ts";
import { libraryFileName, packageName, targetOf } from "./targets.ts";

/** A library that has been loaded, for good. */
export interface Loaded {
  readonly native: Native;
  /** The file, as it was named when it was found. */
  readonly path: string;
}

/** Finds and loads the library. Throws `LSM_LIBRARY`, naming every attempt. */
export function findLibrary(runtime: Runtime, library: string | URL | undefined): Loaded {
  const search = new Search(runtime);
  const given = library ?? (runtime.environment("LSM_LIBRARY") || undefined);
  if (given !== undefined) {
    const origin = library === undefined ? "LSM_LIBRARY" : "option library";
    return search.load(origin, toPath(given)) ?? search.fail();
  }
  const target = targetOf(process.platform, process.arch, runtime.libc());
  if (target === undefined) {
    return search.fail(`no library is built for ${process.platform}-${process.arch}`);
  }
  const tree = developmentTree(target);
  const granted = tree !== undefined && runtime.mayLoad(tree);
  return (granted ? search.load("development tree", tree) : undefined) ??
    search.loadPackage(target) ??
    (tree !== undefined && !granted ? search.load("development tree", tree) : undefined) ??
    search.fail();
}

/** One search: what was tried, and why it did not do. */
class Search {
  readonly #runtime: Runtime;
  readonly #attempts: string[] = [];
  #refused: string | undefined;
  #cause: unknown;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  load(origin: string, path: string): Loaded | undefined {
    try {
      const native = this.#runtime.open(path);
      const abi = native.abi();
      if (abi === ABI) return { native, path };
      this.#attempts.push(`${origin}: "${path}" has interface ${abi}, this package needs ${ABI}`);
    } catch (error) {
      this.#note(`${origin}: "${path}"`, error);
      if (nameOf(error) === "NotCapable") this.#refused ??= path;
    }
    return undefined;
  }

  loadPackage(target: Target): Loaded | undefined {
    const origin = packageName(target);
    try {
      return this.load(origin, toPath(this.#runtime.packaged(target)));
    } catch (error) {
      this.#note(origin, error);
      return undefined;
    }
  }

  fail(reason?: string): never {
    if (reason !== undefined) this.#attempts.push(reason);
    const system = `${process.platform}-${process.arch}, ${this.#runtime.name}`;
    const hint = this.#hint();
    const start = `Cannot load the native library (${system})`;
    const attempts = this.#attempts.map((attempt) => `\n  - ${attempt}`).join("");
    // What is to be done comes first: what was tried may speak of other permissions, which would not help.
    throw new LsmError("LSM_LIBRARY", `${start}: ${hint}\n  Tried:${attempts}`, {
      op: "open",
      hint,
      cause: this.#cause,
    });
  }

  #note(what: string, error: unknown): void {
    this.#cause = error;
    const message = error instanceof Error ? error.message : String(error);
    this.#attempts.push(`${what}: ${message.split("\n", 1)[0]}`);
  }

  #hint(): string {
    const flag = this.#refused === undefined
      ? undefined
      : this.#runtime.permissionFor(folderOf(this.#refused));
    if (flag !== undefined) return `run with ${flag}`;
    return "install the package of this platform, build the library in a source tree, or name a " +
      "file with the option `library` or the variable LSM_LIBRARY";
  }
}

/** `zig-out` of this source tree; undefined where there can be none: installed, or inside a program. */
function developmentTree(target: Target): string | undefined {
  const here = import.meta.url;
  if (!here.startsWith("file:") || /\/node_modules\/|\/\$bunfs\/|~BUN/i.test(here)) {
    return undefined;
  }
  return fileURLToPath(new URL(`../zig-out/lib/${target}/${libraryFileName(target)}`, here));
}

function toPath(library: string | URL): string {
  const isUrl = typeof library !== "string" || library.startsWith("file:");
  return isUrl ? fileURLToPath(library) : library;
}

function folderOf(path: string): string {
  return path.replace(/[\\/][^\\/]*$/, "") || "/";
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : "";
}
