/**
 * Turns what the engine says of a failure into the error the caller sees. Reads the error frame; makes no
 * native call.
 *
 * @module
 */
import process from "node:process";
import { CODE, ERROR_FIELD, ERROR_TEXT_OFFSET, LOCK, RESULT } from "../ffi/frames.ts";
import {
  LsmBusyError,
  LsmClosedError,
  LsmCorruptError,
  LsmError,
  LsmMisuseError,
  LsmReadOnlyError,
} from "./errors.ts";
import type { LockName, LsmErrorCode, LsmErrorDetails } from "./errors.ts";
import type { Memory } from "./memory.ts";

/** What was being done, and to which database. */
export interface Doing {
  /** The public method. */
  readonly op: string;
  readonly path: string;
  /** The other file, if there are two. */
  readonly to?: string | undefined;
  /** A commit with `chain`: is it done, and what failed is to begin the next transaction? */
  readonly isCommitted?: boolean | undefined;
}

/** An error frame, decoded. */
export interface Failure {
  readonly code: number;
  readonly system: number;
  readonly page: number;
  readonly lock: number;
  readonly waited: number;
  readonly holder: number;
  readonly text: string;
}

/** Reads an error frame of `size` bytes; undefined if it is none. */
export function readFailure(frame: Memory, size: number): Failure | undefined {
  if (size < ERROR_TEXT_OFFSET) return undefined;
  const field = (index: number) => frame.words[index] ?? 0;
  const textSize = Math.min(field(ERROR_FIELD.TEXT_SIZE), size - ERROR_TEXT_OFFSET);
  return {
    code: field(ERROR_FIELD.CODE),
    system: field(ERROR_FIELD.SYSTEM),
    page: field(ERROR_FIELD.PAGE_HIGH) * 2 ** 32 + field(ERROR_FIELD.PAGE_LOW),
    lock: field(ERROR_FIELD.LOCK),
    waited: field(ERROR_FIELD.WAITED),
    holder: field(ERROR_FIELD.HOLDER),
    text: frame.text.toString("utf8", ERROR_TEXT_OFFSET, ERROR_TEXT_OFFSET + textSize),
  };
}

/** What to call an operation in a message; others are a read or a write. */
const PHRASES: Readonly<Record<string, string>> = {
  open: "open",
  destroy: "destroy",
  close: "close",
  begin: "begin a transaction on",
  commit: "commit to",
  rollback: "roll back",
  flush: "flush",
  work: "merge segments of",
  optimize: "optimize",
  checkpoint: "checkpoint",
  backup: "back up",
  verify: "verify",
  snapshot: "take a snapshot of",
  configure: "configure",
  config: "read the configuration of",
  stats: "read the figures of",
  structure: "read the structure of",
};
const WRITES = [
  "set",
  "setMany",
  "delete",
  "deleteRange",
  "clear",
  "batch",
  "incr",
  "getOrInsert",
  "getOrInsertComputed",
  "compareAndSet",
  "userVersion",
];

/** The beginning of every message: `Cannot open "a.ldb"`. */
export function cannot({ op, path, to, isCommitted }: Doing): string {
  if (isCommitted) return `Committed to "${path}"; the next transaction could not be begun`;
  const phrase = PHRASES[op] ?? (WRITES.includes(op) ? "write to" : "read");
  return `Cannot ${phrase} "${path}"${to === undefined ? "" : ` to "${to}"`}`;
}

/** The error for a result below zero that has no frame. */
export function resultError(result: number, doing: Doing): LsmError {
  switch (result) {
    case RESULT.CLOSED:
      return closedError(doing);
    case RESULT.IN_USE:
      return new LsmMisuseError(`${cannot(doing)}: another thread is inside a call`, doing);
    case RESULT.MISUSE:
      return new LsmMisuseError(`${cannot(doing)}: the engine refused the arguments`, doing);
    default:
      return new LsmError("LSM_ERROR", `${cannot(doing)}: unexpected result ${result}`, doing);
  }
}

/** The error for anything done with what is closed. */
export function closedError(doing: Doing, what = "it"): LsmClosedError {
  return new LsmClosedError(`${cannot(doing)}: ${what} is closed`, doing);
}

/**
 * The error for the use of a transaction that was undone when a write or commit failed: the
 * `cause`.
 */
export function failedWriteError(start: string, details: LsmErrorDetails): LsmMisuseError {
  return new LsmMisuseError(
    `${start}: the transaction was rolled back when a write or commit in it failed`,
    {
      ...details,
      hint: "nothing that was written in it is left; `cause` is that failure",
    },
  );
}

/** The error an error frame describes. */
export function failureError(failure: Failure, doing: Doing): Error {
  const { code, text } = failure;
  const details: LsmErrorDetails = { ...doing, errno: code };
  const start = cannot(doing);
  switch (code) {
    case CODE.BUSY:
      return busyError(failure, doing);
    case CODE.READONLY:
      return new LsmReadOnlyError(`${start}: ${text || "it was opened with readOnly"}`, details);
    case CODE.CORRUPT:
      details.hint = "restore a copy; keep the damaged file for examination";
      return new LsmCorruptError(`${start}: ${corruption(failure)}`, {
        ...details,
        page: failure.page === 0 ? undefined : failure.page,
        reason: text,
      });
    case CODE.NOTADB:
      details.hint = "check the path; the file was left as it is";
      return new LsmError("LSM_NOTADB", `${start}: the file is not a database`, details);
    case CODE.MISUSE:
      return new LsmMisuseError(`${start}: ${text || "not allowed at this time"}`, details);
    case CODE.NOT_COUNTER:
      details.hint = "counters are 8 bytes; see the codec i64";
      return new LsmError(
        "LSM_NOTCOUNTER",
        `${start}: the value is no counter, it has ${failure.page} bytes instead of 8`,
        details,
      );
    case CODE.OVERFLOW:
      return new RangeError(`${start}: the counter would leave the signed 64-bit integers`);
    default: {
      const name = codeName(code, doing.op);
      details.hint = hintFor(failure, name, doing);
      return new LsmError(name, `${start}: ${reason(failure, name)}`, details);
    }
  }
}

function busyError(failure: Failure, doing: Doing): LsmBusyError {
  const { waited } = failure;
  const name = lockName(failure);
  const { what, hint } = busyReason(failure, name, doing);
  const patience = doing.op === "destroy" ? "" : ` (waited ${waited} ms)`;
  const message = `${cannot(doing)}: ${what}${patience}`;
  return new LsmBusyError(message, name, waited, { ...doing, errno: CODE.BUSY, hint });
}

/**
 * A read-only connection looks for other processes only when it reads: then the engine names the
 * snapshot.
 */
function lockName({ lock, text }: Failure): LockName {
  const name = LOCKS[lock] ?? "writer";
  return name === "snapshot" && text.startsWith("another process") ? "open" : name;
}

function busyReason(
  { holder, text }: Failure,
  name: LockName,
  { op }: Doing,
): { what: string; hint: string } {
  if (name === "open") {
    if (op === "backup") {
      return {
        what: "the file to be overwritten is open",
        hint: "close it where it is open, or choose another name",
      };
    }
    if (op === "destroy") return { what: text, hint: "close it first" };
    return {
      what: "another process has this database open; only one may at a time",
      hint: "close it there, or wait longer: raise busyTimeout",
    };
  }
  if (name === "snapshot") {
    return {
      what: "too many versions of the database are being read",
      hint: "close snapshots, iterators and cursors, or let them end",
    };
  }
  const what = `${holders[holder] ?? THIS_THREAD} holds the ${name} lock`;
  if (holder === 2) {
    const hint = "waiting would never end: finish the transaction of the other connection first";
    return { what, hint };
  }
  return { what, hint: "raise busyTimeout, or keep transactions short" };
}

const THIS_THREAD = "this thread itself, through another connection,";
const holders = ["another process", "another connection of this process"];

const LOCKS: Readonly<Record<number, LockName>> = {
  [LOCK.WRITER]: "writer",
  [LOCK.WORKER]: "worker",
  [LOCK.CHECKPOINTER]: "checkpointer",
  [LOCK.OPEN]: "open",
  [LOCK.SNAPSHOT]: "snapshot",
};

const NAMES: Readonly<Record<number, LsmErrorCode>> = {
  [CODE.NOMEM]: "LSM_NOMEM",
  [CODE.IOERR]: "LSM_IOERR",
  [CODE.FULL]: "LSM_FULL",
  [CODE.CANTOPEN]: "LSM_CANTOPEN",
  [CODE.PROTOCOL]: "LSM_PROTOCOL",
  [CODE.MISMATCH]: "LSM_MISMATCH",
  [CODE.IOERR_NOENT]: "LSM_IOERR",
  [CODE.EXISTS]: "LSM_CANTOPEN",
  [CODE.ISDIR]: "LSM_CANTOPEN",
};

function codeName(code: number, op: string): LsmErrorCode {
  const name = NAMES[code] ?? "LSM_ERROR";
  // To make a copy is to open a file, too; but what fails later on is input or output.
  const isOpening = op === "open" || (op === "backup" && code === CODE.IOERR_NOENT);
  return name === "LSM_IOERR" && isOpening ? "LSM_CANTOPEN" : name;
}

/** What to say where the engine gave no text. */
const REASONS: Readonly<Record<number, string>> = {
  [CODE.IOERR_NOENT]: "no such file or directory",
  [CODE.ISDIR]: "it is a directory",
};
const REASONS_BY_NAME: Readonly<Partial<Record<LsmErrorCode, string>>> = {
  LSM_NOMEM: "out of memory",
  LSM_IOERR: "input or output failed",
  LSM_FULL: "the device is full",
  LSM_CANTOPEN: "the file cannot be opened",
  LSM_PROTOCOL: "the shared memory could not be read",
  LSM_MISMATCH: "it needs other compression functions",
};

function reason(failure: Failure, name: LsmErrorCode): string {
  const silent = failure.code === CODE.EXISTS ? "the file exists already" : REASONS_BY_NAME[name];
  const text = REASONS[failure.code] ?? (failure.text || silent) ??
    `the engine reports ${failure.code}`;
  return failure.system === 0 ? text : `${text} (system error ${failure.system})`;
}

/**
 * The system's numbers for what nobody may do: EPERM, EACCES, EROFS; access denied,
 * write-protected.
 */
const NOT_PERMITTED = process.platform === "win32" ? [5, 19] : [1, 13, 30];

/** What to do about a failure of the file system. */
function hintFor(failure: Failure, name: LsmErrorCode, doing: Doing): string | undefined {
  const { code, system, text } = failure;
  const { op, path, to } = doing;
  if (code === CODE.EXISTS && op === "backup") {
    return "choose another name, or pass overwrite: true";
  }
  if (code === CODE.IOERR_NOENT && op === "open") {
    if (/[\\/]file:[\\/]/.test(path)) {
      return "this URL was passed as text; pass it as an object: new URL(...)";
    }
    return "check the path; a folder is never created, " +
      "a file not with readOnly or createIfMissing: false";
  }
  if (code === CODE.IOERR_NOENT && op === "backup") {
    return "check the path; a folder is never created";
  }
  if (NOT_PERMITTED.includes(system)) {
    if (op === "backup") return `"${to ?? path}" and its folder must be writable`;
    const also = op === "open" ? ", unless it is opened with readOnly" : "";
    return `the file and its folder must be writable, as "${path}-log" is made beside it${also}`;
  }
  return name === "LSM_FULL" ? fullHint(text, doing) : undefined;
}

function fullHint(text: string, { op, isCommitted }: Doing): string {
  if (/\bhandles\b/.test(text)) return "close snapshots, iterators, cursors and databases";
  if (op === "backup") return "free space where the copy is to be; the database is as it was";
  const space = "free space on the device, close snapshots and iterators";
  if (!isCommitted && (op === "commit" || WRITES.includes(op))) {
    return `nothing of this transaction was done: ${space}, and try again`;
  }
  return `nothing that was committed is lost: ${space}`;
}

function corruption({ page, text }: Failure): string {
  const place = page === 0 ? "" : ` on page ${page}`;
  return `the database is damaged${place}${text === "" ? "" : `: ${text}`}`;
}
