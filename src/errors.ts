/**
 * What can go wrong. One base class, told apart by `code`; wrong types and values of arguments are
 * `TypeError` and `RangeError` instead.
 *
 * @module
 */

/** Names of failures. Stable: programs may compare them. */
export type LsmErrorCode =
  | "LSM_ERROR"
  | "LSM_BUSY"
  | "LSM_NOMEM"
  | "LSM_READONLY"
  | "LSM_IOERR"
  | "LSM_CORRUPT"
  | "LSM_FULL"
  | "LSM_CANTOPEN"
  | "LSM_PROTOCOL"
  | "LSM_MISUSE"
  | "LSM_MISMATCH"
  | "LSM_NOTFOUND"
  | "LSM_CLOSED"
  | "LSM_NOTADB"
  | "LSM_DECODE"
  | "LSM_NOTCOUNTER"
  | "LSM_LIBRARY";

/** The details of an {@link LsmError}. */
export interface LsmErrorDetails {
  /** The engine's own number; 0 if the failure arose in this library. */
  errno?: number;
  /** The method that failed. */
  op?: string;
  /** The database concerned. */
  path?: string | undefined;
  /** What to do about it. Becomes the last line of the message, unless that says it already. */
  hint?: string | undefined;
  /** The error behind this one. */
  cause?: unknown;
}

/**
 * Anything that failed in the engine or in this library.
 *
 * @example Telling failures apart
 * ```ts
 * import { Lsm, LsmError } from "@lsmdb/lsm";
 * try {
 *   using db = new Lsm("missing-folder/example.ldb");
 * } catch (error) {
 *   if (!(error instanceof LsmError)) throw error;
 *   console.log(error.code); // LSM_CANTOPEN
 * }
 * ```
 */
export class LsmError extends Error {
  /** What went wrong. */
  readonly code: LsmErrorCode;
  /** The engine's own number; 0 if the failure arose in this library. */
  readonly errno: number;
  /** The method that failed. */
  readonly op: string | undefined;
  /** The database concerned. */
  readonly path: string | undefined;
  /** What to do about it; the message says it, too. */
  readonly hint: string | undefined;

  /** Made by this library; exported for `instanceof`. */
  constructor(code: LsmErrorCode, message: string, details: LsmErrorDetails = {}) {
    super(
      withHint(message, details.hint),
      "cause" in details ? { cause: details.cause } : undefined,
    );
    this.name = "LsmError"; // literal: it survives minifying
    this.code = code;
    this.errno = details.errno ?? 0;
    this.op = details.op;
    this.path = details.path;
    this.hint = details.hint;
  }
}

/** Of an error that nobody catches, runtimes show little more than the message. */
function withHint(message: string, hint: string | undefined): string {
  return hint === undefined || message.includes(hint) ? message : `${message}\n  Hint: ${hint}`;
}

/**
 * `getOrThrow` found no such key.
 *
 * @example
 * ```ts
 * import { Lsm, LsmNotFoundError } from "@lsmdb/lsm";
 * using db = new Lsm("example.ldb");
 * try {
 *   db.getOrThrow("no such key");
 * } catch (error) {
 *   console.log(error instanceof LsmNotFoundError && error.key); // no such key
 * }
 * ```
 */
export class LsmNotFoundError extends LsmError {
  /** The key that was looked up. */
  readonly key: unknown;

  /** Made by this library; exported for `instanceof`. */
  constructor(message: string, key: unknown, details?: LsmErrorDetails) {
    super("LSM_NOTFOUND", message, details);
    this.name = "LsmNotFoundError";
    this.key = key;
  }
}

/** A lock that a call may have to wait for. */
export type LockName = "writer" | "worker" | "checkpointer" | "open" | "snapshot";

/**
 * Another connection holds a lock, and did not release it within `busyTimeout`.
 *
 * @example
 * ```ts
 * import { Lsm, LsmBusyError } from "@lsmdb/lsm";
 * using db = new Lsm("example.ldb", { busyTimeout: 0 });
 * try {
 *   db.set("key", "value");
 * } catch (error) {
 *   if (error instanceof LsmBusyError) console.log(`the ${error.lock} lock is taken`);
 *   else throw error;
 * }
 * ```
 */
export class LsmBusyError extends LsmError {
  /** Which lock. */
  readonly lock: LockName;
  /** How long the call waited, in milliseconds. */
  readonly waited: number;

  /** Made by this library; exported for `instanceof`. */
  constructor(message: string, lock: LockName, waited: number, details?: LsmErrorDetails) {
    super("LSM_BUSY", message, details);
    this.name = "LsmBusyError";
    this.lock = lock;
    this.waited = waited;
  }
}

/**
 * A database, snapshot, cursor or iterator was used after it had been closed.
 *
 * @example
 * ```ts
 * import { Lsm, LsmClosedError } from "@lsmdb/lsm";
 * const db = new Lsm("example.ldb");
 * db.close();
 * try {
 *   db.get("key");
 * } catch (error) {
 *   console.log(error instanceof LsmClosedError); // true
 * }
 * ```
 */
export class LsmClosedError extends LsmError {
  /** Made by this library; exported for `instanceof`. */
  constructor(message: string, details?: LsmErrorDetails) {
    super("LSM_CLOSED", message, details);
    this.name = "LsmClosedError";
  }
}

/**
 * Something was done at a time when it is not allowed.
 *
 * @example
 * ```ts
 * import { Lsm, LsmMisuseError } from "@lsmdb/lsm";
 * using db = new Lsm("example.ldb");
 * using tx = db.transaction();
 * tx.commit();
 * try {
 *   tx.set("key", "value");
 * } catch (error) {
 *   console.log(error instanceof LsmMisuseError); // true
 * }
 * ```
 */
export class LsmMisuseError extends LsmError {
  /** Made by this library; exported for `instanceof`. */
  constructor(message: string, details?: LsmErrorDetails) {
    super("LSM_MISUSE", message, details);
    this.name = "LsmMisuseError";
  }
}

/**
 * A write to a database that was opened with `readOnly`.
 *
 * @example
 * ```ts
 * import { Lsm, LsmReadOnlyError } from "@lsmdb/lsm";
 * new Lsm("example.ldb").close();
 * using db = new Lsm("example.ldb", { readOnly: true });
 * try {
 *   db.set("key", "value");
 * } catch (error) {
 *   console.log(error instanceof LsmReadOnlyError); // true
 * }
 * ```
 */
export class LsmReadOnlyError extends LsmError {
  /** Made by this library; exported for `instanceof`. */
  constructor(message: string, details?: LsmErrorDetails) {
    super("LSM_READONLY", message, details);
    this.name = "LsmReadOnlyError";
  }
}

/**
 * The file does not make sense: it was damaged, or written by something else.
 *
 * @example
 * ```ts
 * import { Lsm, LsmCorruptError } from "@lsmdb/lsm";
 * try {
 *   using db = new Lsm("example.ldb");
 *   for (const _ of db.keys());
 * } catch (error) {
 *   if (error instanceof LsmCorruptError) console.log(error.message);
 *   else throw error;
 * }
 * ```
 */
export class LsmCorruptError extends LsmError {
  /** The page that does not make sense; undefined if it is not one page. */
  readonly page: number | undefined;
  /** What does not make sense. */
  readonly reason: string;

  /** Made by this library; exported for `instanceof`. */
  constructor(
    message: string,
    details: LsmErrorDetails & { page?: number | undefined; reason?: string } = {},
  ) {
    super("LSM_CORRUPT", message, details);
    this.name = "LsmCorruptError";
    this.page = details.page;
    this.reason = details.reason ?? "";
  }
}

/**
 * Stored bytes could not be turned into a key or a value by the codec in use; `cause` has the reason.
 *
 * @example
 * ```ts
 * import { Lsm, LsmDecodeError, bytes } from "@lsmdb/lsm";
 * using db = new Lsm("pictures.ldb");
 * db.as({ values: bytes }).set("picture", Uint8Array.of(0xff, 0xd8));
 * try {
 *   db.get("picture");
 * } catch (error) {
 *   console.log(error instanceof LsmDecodeError && error.key); // picture
 * }
 * ```
 */
export class LsmDecodeError extends LsmError {
  /** The key of the entry, if that could be decoded. */
  readonly key: unknown;

  /** Made by this library; exported for `instanceof`. */
  constructor(message: string, key: unknown, details?: LsmErrorDetails) {
    super("LSM_DECODE", message, details);
    this.name = "LsmDecodeError";
    this.key = key;
  }
}
