/**
 * What is in use.
 *
 * @module
 */
import { load } from "../ffi/load.ts";

/** Versions of the parts in use. */
export interface LsmVersion {
  /** Of this package. */
  readonly binding: string;
  /** Of the interface between the two. */
  readonly abi: number;
  /** The file the engine was loaded from. */
  readonly library: string;
}

/**
 * Versions of the parts in use. Asking for `abi` or `library` loads the engine, if no database has been
 * opened yet.
 *
 * @example
 * ```ts
 * import { version } from "@lsmdb/lsm";
 * console.log(`${version.binding}, with ${version.library}`);
 * ```
 */
export const version: LsmVersion = Object.freeze({
  binding: "0.1.0",
  get abi(): number {
    return load().native.abi();
  },
  get library(): string {
    return load().path;
  },
});
