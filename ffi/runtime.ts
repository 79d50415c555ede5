/**
 * What a runtime has to offer the library: the mirror image that `deno.ts` and `bun.ts` both show.
 *
 * @module
 */
import type { Native } from "./native.ts";

/** One of the eight platforms a library is built for; `build.zig` uses the same names. */
export type Target =
  | "linux-x64-gnu"
  | "linux-x64-musl"
  | "linux-arm64-gnu"
  | "linux-arm64-musl"
  | "darwin-x64"
  | "darwin-arm64"
  | "win32-x64"
  | "win32-arm64";

/** A runtime with foreign functions. */
export interface Runtime {
  readonly name: string;
  /** Of the runtime itself, on Linux. What happens to be installed does not tell it. */
  libc(): "gnu" | "musl";
  /** An environment variable; undefined also if reading it would need a permission first. */
  environment(name: string): string | undefined;
  /** False if loading this file would fail for, or ask for, a permission. */
  mayLoad(path: string): boolean;
  /** The flag that gives this permission; undefined in a runtime without permissions. */
  permissionFor(path: string): string | undefined;
  /** The file in the npm package of a target, found synchronously. Throws if it is not installed. */
  packaged(target: Target): string;
  /** Loads the file for the rest of the process. Throws what the runtime throws. */
  open(path: string): Native;
  /** False in a worker. */
  isMainThread(): boolean;
}
