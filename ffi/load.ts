/**
 * Chooses the runtime, and loads the library once. Nothing happens before the first database is opened.
 *
 * @module
 */
import { LsmError, LsmMisuseError } from "../src/errors.ts";
import { bunRuntime } from "./bun.ts";
import { denoRuntime } from "./deno.ts";
import { findLibrary } from "./library.ts";
import type { Loaded } from "./library.ts";
import type { Runtime } from "./runtime.ts";

let loaded: Loaded | undefined;
let requested: string | undefined;

/**
 * The library of this process, loaded when first asked for.
 *
 * @param library File to load instead of the usual one.
 * @throws {LsmError} `LSM_LIBRARY` if none can be loaded.
 * @throws {LsmMisuseError} If another one has been loaded already: a process can use only one.
 */
export function load(library?: string | URL): Loaded {
  const name = library === undefined ? undefined : String(library);
  if (loaded === undefined) {
    const runtime = currentRuntime();
    loaded = findLibrary(runtime, library);
    requested = name;
    finishAtExit(loaded, runtime);
  } else if (name !== undefined && name !== requested && name !== loaded.path) {
    throw new LsmMisuseError(`Cannot load "${name}": "${loaded.path}" is already loaded`, {
      op: "open",
      hint: "a process uses one library; give all databases the same option `library`",
    });
  }
  return loaded;
}

function currentRuntime(): Runtime {
  const scope = globalThis as { readonly Bun?: unknown; readonly Deno?: unknown };
  if (scope.Bun !== undefined) return bunRuntime(scope.Bun);
  if (scope.Deno !== undefined) return denoRuntime(scope.Deno);
  throw new LsmError(
    "LSM_LIBRARY",
    "Cannot load the native library: this is neither Deno nor Bun",
    {
      op: "open",
    },
  );
}

/** Lets the engine close what is still open, so that its own threads never outlive the runtime. */
function finishAtExit({ native }: Loaded, runtime: Runtime): void {
  if (runtime.isMainThread()) process.on("exit", () => native.shutdown());
}
