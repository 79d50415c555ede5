/**
 * Copies of a database that is in use.
 *
 * @module
 */
import { BACKUP, CONFIG } from "../ffi/frames.ts";
import type { Handle } from "../ffi/native.ts";
import type { Connection } from "./connection.ts";
import { LsmBusyError } from "./errors.ts";
import { enterScratch, leaveScratch } from "./memory.ts";
import { describe } from "./packed.ts";
import { toPath } from "./path.ts";
import { checkProgressOptions, finishTask, pause } from "./task.ts";
import type { ProgressOptions } from "./task.ts";

/** Options of `db.backup()`. */
export interface BackupOptions extends ProgressOptions {
  /** Replace a file that is there: it is deleted when the copy begins. Default false. */
  overwrite?: boolean | undefined;
}

/** Copies what is committed now into a file of its own. */
export async function backUp(
  connection: Connection,
  target: string | URL,
  options: BackupOptions,
): Promise<void> {
  const to = toPath(target);
  checkProgressOptions(options, ["overwrite"]);
  const { overwrite = false } = options;
  if (typeof overwrite !== "boolean") {
    throw new TypeError(`Option overwrite must be a boolean, not ${describe(overwrite)}`);
  }
  const begun = begin(connection, to, overwrite, 0);
  const handle = typeof begun === "number"
    ? begun
    : await beginWhenFree(connection, to, overwrite, begun, options.signal);
  try {
    await finishTask(connection, handle, { op: "backup", to }, options);
  } finally {
    connection.native.end(handle); // deletes a copy that is not complete
  }
}

/**
 * Begins as soon as nobody has the target open any more, having `failed` once: waiting holds up
 * nothing else in this thread.
 */
async function beginWhenFree(
  connection: Connection,
  to: string,
  overwrite: boolean,
  failed: LsmBusyError,
  signal: AbortSignal | undefined,
): Promise<Handle> {
  const { native } = connection;
  const patience = native.config(connection.use("backup"), CONFIG.BUSY_TIMEOUT, -1);
  const start = performance.now();
  for (let error = failed, waited = 0;;) {
    if (waited >= patience) throw error;
    await pause(signal);
    signal?.throwIfAborted();
    waited = Math.round(performance.now() - start);
    const begun = begin(connection, to, overwrite, waited);
    if (typeof begun === "number") return begun;
    error = begun;
  }
}

/** A file that is open is no failure yet. */
function begin(
  connection: Connection,
  to: string,
  overwrite: boolean,
  waited: number,
): Handle | LsmBusyError {
  const parent = connection.use("backup");
  const scratch = enterScratch();
  try {
    const { key } = scratch;
    key.reserve(0, to.length * 3);
    const size = key.text.write(to, 0, "utf8");
    const flags = overwrite ? BACKUP.OVERWRITE : 0;
    const handle = connection.native.backup(parent, key.bytes, size, flags);
    if (handle !== 0) return handle;
    const error = connection.failedToMake("backup", parent, to, waited);
    if (error instanceof LsmBusyError) return error;
    throw error;
  } finally {
    leaveScratch(scratch);
  }
}
