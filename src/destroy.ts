/**
 * Removing a database: only what is one, and is not in use.
 *
 * @module
 */
import { unlinkSync } from "node:fs";
import { CODE, CONFIG } from "../ffi/frames.ts";
import { Connection } from "./connection.ts";
import { LsmBusyError, LsmError } from "./errors.ts";
import { cannot } from "./failure.ts";
import { checkNames } from "./names.ts";
import { openingSettings } from "./options.ts";
import type { OpeningOptions } from "./options.ts";
import { describe } from "./packed.ts";
import { toPath } from "./path.ts";

/** Options of `Lsm.destroy()`. */
export interface DestroyOptions extends Pick<OpeningOptions, "library"> {}

const KIB = 1024;

/** See `Lsm.destroy`. */
export function destroy(path: string | URL, options: DestroyOptions): void {
  const file = toPath(path);
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Options must be an object, not ${describe(options)}`);
  }
  checkNames(options, ["library"]);
  if (!isFree(file, options.library)) return;
  // The log first: without it the file is an older state of itself; without the file it is garbage.
  for (const suffix of ["-shm", "-log", ""]) remove(file, file + suffix);
}

/** Opens and closes the file. False if there is none; throws if it must not be removed. */
function isFree(file: string, library: string | URL | undefined): boolean {
  // All connections of a process share one memory budget, that of the first of them. One that nobody else
  // has chosen tells whether this is the first.
  const memoryBudget = (1 + Math.floor(Math.random() * 0x7fff_fffe)) * KIB;
  const settings = openingSettings({
    createIfMissing: false,
    multiProcess: false, // a process that is just opening or closing it is not waited for either
    busyTimeout: 0,
    memoryBudget,
    library,
  });
  const connection = new Connection(file, settings, library);
  try {
    connection.open("destroy");
  } catch (error) {
    if (error instanceof LsmError) {
      if (error.errno === CODE.IOERR_NOENT) return false;
      // A database all the same, that this library cannot read.
      if (error.code === "LSM_CORRUPT" || error.code === "LSM_MISMATCH") return true;
    }
    throw error;
  }
  try {
    const handle = connection.use("destroy");
    const budget = connection.native.config(handle, CONFIG.MEMORY_BUDGET_KB, -1) * KIB;
    if (budget === memoryBudget) return true;
    const details = { op: "destroy", path: file, errno: CODE.BUSY, hint: "close it first" };
    const message = `${cannot(details)}: it is open in this process`;
    throw new LsmBusyError(message, "open", 0, details);
  } finally {
    connection.dispose();
  }
}

/** Not `rmSync`: that looks at the file before, which takes another permission. */
function remove(database: string, file: string): void {
  try {
    unlinkSync(file);
  } catch (cause) {
    const { code, message } = cause as { code?: unknown; message?: unknown };
    if (code === "ENOENT") return;
    const details = { op: "destroy", path: database, cause };
    throw new LsmError("LSM_IOERR", `${cannot(details)}: ${String(message)}`, details);
  }
}
