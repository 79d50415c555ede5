/**
 * Deno's side of the wall. The mirror image is `bun.ts`.
 *
 * Works with `--allow-ffi=<folder of the library>` and nothing else: buffers and 32-bit numbers only, no
 * pointer functions. The library is never unloaded: a call into an unloaded one ends the process.
 *
 * @module
 */
import { named, SYMBOLS } from "./symbols.ts";
import type { Functions, Signature } from "./symbols.ts";
import type { Native } from "./native.ts";
import type { Runtime, Target } from "./runtime.ts";
import { libraryFileName, packageName } from "./targets.ts";

/** The part of the `Deno` object used here; spelled out so that every checker can check this file. */
interface DenoNamespace {
  readonly env: { get(name: string): string | undefined };
  readonly permissions: {
    querySync(
      query: { name: "ffi"; path: string } | { name: "env"; variable: string },
    ): { readonly state: string };
  };
  dlopen(path: string, symbols: Record<string, Signature>): { readonly symbols: unknown };
}

/** Makes the runtime from the global object `Deno`. */
export function denoRuntime(deno: unknown): Runtime {
  const { env, permissions, dlopen } = deno as DenoNamespace;

  return {
    name: "Deno",

    libc: () => "gnu", // there is no build for musl

    environment(name: string): string | undefined {
      const { state } = permissions.querySync({ name: "env", variable: name });
      return state === "granted" ? env.get(name) : undefined;
    },

    mayLoad: (path: string) => permissions.querySync({ name: "ffi", path }).state === "granted",

    permissionFor: (path: string) => `--allow-ffi=${path}`,

    packaged(target: Target): string {
      const { createRequire } = process.getBuiltinModule("node:module");
      return createRequire(import.meta.url).resolve(
        `${packageName(target)}/${libraryFileName(target)}`,
      );
    },

    open(path: string): Native {
      return named(dlopen(path, SYMBOLS).symbols as Functions);
    },

    isMainThread: () => !("WorkerGlobalScope" in globalThis) && !isNodeWorker(),
  };
}

function isNodeWorker(): boolean {
  return !process.getBuiltinModule("node:worker_threads").isMainThread;
}
