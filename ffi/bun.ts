/**
 * Bun's side of the wall. The mirror image is `deno.ts`.
 *
 * `bun:ffi` is taken through `process.getBuiltinModule`: it is synchronous, and, unlike an import, does
 * not trouble Deno's module graph or `bun build --compile --bytecode`. The library is never unloaded.
 *
 * @module
 */
import { named, SYMBOLS } from "./symbols.ts";
import type { Functions } from "./symbols.ts";
import type { Native } from "./native.ts";
import type { Runtime, Target } from "./runtime.ts";

/** The part of `bun:ffi` used here; spelled out so that every checker can check this file. */
interface BunFfi {
  dlopen(
    path: string,
    symbols: Record<string, { args: readonly string[]; returns: string }>,
  ): { readonly symbols: unknown };
}

/** The part of `process.report` used here. */
interface Report {
  excludeNetwork: boolean;
  getReport(): { readonly header: { readonly glibcVersionRuntime?: string } };
}

/** Present in every module that runs in Bun. */
declare const require: (name: string) => { readonly default: string };

/** Makes the runtime from the global object `Bun`. */
export function bunRuntime(bun: unknown): Runtime {
  return {
    name: "Bun",

    libc(): "gnu" | "musl" {
      const report = process.report as unknown as Report | undefined;
      if (report === undefined) return "gnu";
      report.excludeNetwork = true; // looking up names can take seconds
      return report.getReport().header.glibcVersionRuntime === undefined ? "musl" : "gnu";
    },

    environment: (name: string) => process.env[name],

    mayLoad: () => true,

    permissionFor: () => undefined,

    packaged,

    open(path: string): Native {
      const ffi = process.getBuiltinModule("bun:ffi") as unknown as BunFfi;
      const symbols = Object.fromEntries(
        Object.entries(SYMBOLS).map(([name, { parameters, result }]) => [
          name,
          { args: parameters, returns: result },
        ]),
      );
      return named(ffi.dlopen(path, symbols).symbols as Functions);
    },

    isMainThread: () => (bun as { readonly isMainThread: boolean }).isMainThread,
  };
}

/**
 * The names are literal, and the conditions are written with the global `process`, because that is what
 * `bun build --compile` can fold: it then embeds the library of its target and leaves out the others.
 * The libc is not known when building, so both are embedded where both are installed. Inside `try` a
 * package that is not installed does not stop the build.
 */
function packaged(target: Target): string {
  const isMusl = target.endsWith("-musl");
  try {
    if (process.platform === "linux" && process.arch === "x64") {
      if (isMusl) return require("@lsmdb/lsm-linux-x64-musl").default;
      return require("@lsmdb/lsm-linux-x64-gnu").default;
    }
    if (process.platform === "linux" && process.arch === "arm64") {
      if (isMusl) return require("@lsmdb/lsm-linux-arm64-musl").default;
      return require("@lsmdb/lsm-linux-arm64-gnu").default;
    }
    if (process.platform === "darwin" && process.arch === "x64") {
      return require("@lsmdb/lsm-darwin-x64").default;
    }
    if (process.platform === "darwin" && process.arch === "arm64") {
      return require("@lsmdb/lsm-darwin-arm64").default;
    }
    if (process.platform === "win32" && process.arch === "x64") {
      return require("@lsmdb/lsm-win32-x64").default;
    }
    if (process.platform === "win32" && process.arch === "arm64") {
      return require("@lsmdb/lsm-win32-arm64").default;
    }
  } catch (cause) {
    throw new Error(`the package of ${target} is not installed`, { cause });
  }
  throw new Error(`there is no package for ${target}`);
}
