/**
 * Running a function in a transaction: committed when it returns, undone when it throws.
 *
 * @module
 */
import type { Connection, Level } from "./connection.ts";
import { LsmClosedError, LsmError, LsmMisuseError } from "./errors.ts";
import { cannot, failedWriteError } from "./failure.ts";

/**
 * Runs `work` in the level that has just been opened for it, and closes that level. A level that `work`
 * has committed or rolled back itself is left alone; one that was lost otherwise is an error, as
 * whoever called believes that it was committed.
 */
export function finishWith<T>(
  connection: Connection,
  level: Level,
  op: string,
  work: () => T,
): T {
  try {
    const result = work();
    refusePromise(result, connection, op);
    if (level.lostBy !== undefined) throw lostError(connection, level.lostBy, op);
    if (level.state === "open") connection.commit(level, false, op);
    return result;
  } catch (error) {
    undo(connection, level, op, error);
    throw error;
  }
}

/** Undoes a level that may be open. The failure that led here is the one to report. */
function undo(connection: Connection, level: Level, op: string, error: unknown): void {
  if (level.state !== "open" || !connection.isOpen) return;
  const isOfEngine = error instanceof LsmError && error.errno !== 0;
  try {
    connection.rollback(level, false, op, isOfEngine ? error : undefined);
  } catch {
    // A rollback that fails leaves its work to the next opening of the file.
  }
}

/** The error for a level that was rolled back though nobody asked for it. */
function lostError(connection: Connection, by: Error | "closing", op: string): LsmError {
  const doing = { op, path: connection.path };
  if (by !== "closing") return failedWriteError(cannot(doing), { ...doing, cause: by });
  const why = "the transaction ended with the closing of the database";
  return new LsmClosedError(`${cannot(doing)}: ${why}`, {
    ...doing,
    hint: "nothing that was written in it is left",
  });
}

/** What is done behind an `await` would be done outside the transaction. */
function refusePromise(result: unknown, connection: Connection, op: string): void {
  if (typeof result !== "object" || result === null || !("then" in result)) return;
  if (typeof result.then !== "function") return;
  if (result instanceof Promise) result.catch(() => {}); // its failure is a consequence of this one
  const doing = { op, path: connection.path };
  throw new LsmMisuseError(`${cannot(doing)}: the function of a transaction must not be async`, {
    ...doing,
    hint: "await first, then begin; or use `using tx = db.transaction()` and commit in the end",
  });
}
