/**
 * One open database: its handle in the engine, its open transactions, and the way from a failed call to
 * its error. Shared by everything made from one `Lsm`: views, namespaces, transactions, cursors.
 *
 * Transactions are a stack of levels. The engine counts them; the objects here exist so that a handle of
 * a transaction, cursor or iterator knows whether the level it belongs to is still the same one.
 *
 * @module
 */
import { CODE, CONFIG, ERROR_TEXT_OFFSET, RESULT, SIZE_MAX } from "../ffi/frames.ts";
import { load } from "../ffi/load.ts";
import type { Handle, Native, Result } from "../ffi/native.ts";
import { LsmError, LsmMisuseError } from "./errors.ts";
import type { LsmErrorCode } from "./errors.ts";
import {
  cannot,
  closedError,
  failedWriteError,
  failureError,
  readFailure,
  resultError,
} from "./failure.ts";
import type { Doing } from "./failure.ts";
import { closeWhenForgotten, remembered } from "./finalizers.ts";
import { enterScratch, leaveScratch, Memory } from "./memory.ts";
import type { Setting } from "./options.ts";

/** How a transaction stands. */
export type TransactionState = "open" | "committed" | "rolled back";

/** One level of transactions. */
export class Level {
  /** 1 is the outermost. */
  readonly depth: number;
  readonly below: Level | undefined;
  state: TransactionState = "open";
  /**
   * What rolled it back, if that was not one of the methods for it: a write that failed with this
   * error, or the closing of the database.
   */
  lostBy: Error | "closing" | undefined;
  /** Counts the `chain`s: each ends what was opened in the level so far. */
  epoch = 0;

  constructor(below: Level | undefined) {
    this.depth = (below?.depth ?? 0) + 1;
    this.below = below;
  }
}

/** Something to read from: the database, a transaction or a snapshot. */
export interface View {
  readonly connection: Connection;
  /** Reads the same content for ever. */
  readonly isFrozen: boolean;
  /** The handle behind it; 0 when it is closed, another one when it was closed and opened again. */
  readonly handle: Handle;
  /**
   * Handles of the scans and cursors that are open and end with it, before the database does;
   * undefined if it has none such. A set of numbers keeps nothing alive.
   */
  readonly children?: Set<Handle>;
  /** The handle to call the engine with. Throws if that is not allowed now. */
  use(op: string): Handle;
}

/** Where a waiting result was put. */
export interface Taken {
  readonly memory: Memory;
  readonly size: number;
}

/** Receives sizes and small numbers. No code of the user's runs between a call and reading it. */
const small = new Memory(16);

/** Codes of what may go wrong when what is in memory is written to the file. */
const NOT_WRITTEN: readonly LsmErrorCode[] = ["LSM_FULL", "LSM_IOERR", "LSM_NOMEM", "LSM_BUSY"];

/** One open database. */
export class Connection implements View {
  readonly path: string;
  readonly isFrozen = false;
  readonly #library: string | URL | undefined;
  readonly #settings: readonly Setting[];
  #native: Native | undefined;
  #handle: Handle = 0;

  /** The innermost open transaction. */
  level: Level | undefined;
  /** Has all that was committed been logged? */
  hasLog = true;
  /** Grows with everything that may change what is read through this connection. */
  changes = 0;

  constructor(path: string, settings: readonly Setting[], library: string | URL | undefined) {
    this.path = path;
    this.#settings = settings;
    this.#library = library;
  }

  get connection(): Connection {
    return this;
  }

  get isOpen(): boolean {
    return this.#handle !== 0;
  }

  get handle(): Handle {
    return this.#handle;
  }

  get native(): Native {
    const native = this.#native;
    if (native === undefined) throw closedError({ op: "open", path: this.path }, "the database");
    return native;
  }

  use(op: string): Handle {
    const handle = this.#handle;
    if (handle === 0) throw closedError({ op, path: this.path }, "the database");
    return handle;
  }

  // --- Opening and closing

  /** True if this call opened it. */
  open(): boolean {
    if (this.#handle !== 0) return false;
    const handle = this.#newHandle("open");
    const { native } = this;
    this.hasLog = true;
    try {
      for (const [verb, value] of this.#settings) this.configure(handle, verb, value, "open");
      this.check(
        withPath(this.path, (path, size) => native.open(handle, path, size)),
        "open",
        handle,
      );
    } catch (error) {
      native.close(handle, small.bytes, 0);
      throw error;
    }
    this.#handle = handle;
    closeWhenForgotten(this, handle);
    return true;
  }

  /** Removes the database, if there is one. For a connection that is never opened. */
  destroy(): void {
    const handle = this.#newHandle("destroy");
    const { native } = this;
    try {
      const result = withPath(this.path, (path, size) => native.destroy(handle, path, size));
      this.check(result, "destroy", handle);
    } finally {
      native.close(handle, small.bytes, 0);
    }
  }

  #newHandle(op: string): Handle {
    const { native } = load(this.#library);
    this.#native = native;
    const handle = native.create();
    if (handle !== 0) return handle;
    const message = `${cannot({ op, path: this.path })}: too many handles are open`;
    throw new LsmError("LSM_NOMEM", message, { op, path: this.path });
  }

  /** True if this call closed it. It is closed afterwards even if the engine reports a failure. */
  close(): boolean {
    const handle = this.#handle;
    if (handle === 0) return false;
    this.#handle = 0;
    remembered(this);
    this.#lose(undefined, "closing");
    const scratch = enterScratch();
    try {
      const frame = scratch.value;
      frame.bytes.fill(0, 0, ERROR_TEXT_OFFSET);
      const result = this.native.close(handle, frame.bytes, frame.size);
      if (result >= 0) return true;
      const doing = { op: "close", path: this.path };
      const failure = result === RESULT.ERROR ? readFailure(frame, frame.size) : undefined;
      throw failure ? failureError(failure, doing) : resultError(result, doing);
    } finally {
      leaveScratch(scratch);
    }
  }

  /**
   * Closes it, at the end of a block that may have failed already. What could not be written to the
   * file is no failure of its own if the log keeps it for the next opening.
   */
  dispose(): void {
    try {
      this.close();
    } catch (error) {
      const isKept = this.hasLog && error instanceof LsmError && NOT_WRITTEN.includes(error.code);
      if (!isKept) throw error;
    }
  }

  /** Changes a setting. */
  configure(handle: Handle, verb: number, value: number, op: string): void {
    this.check(this.native.config(handle, verb, value), op, handle);
    if (verb === CONFIG.USE_LOG && value === 0) this.hasLog = false;
  }

  // --- Failures

  /** Gives back a result; throws what a negative one stands for. */
  check(result: Result, op: string, handle: Handle): number {
    return result < 0 ? this.fail(result, op, handle) : result;
  }

  /** Throws what the result of a failed call on `handle` stands for. */
  fail(result: Result, op: string, handle: Handle, to?: string): never {
    const doing = { op, path: this.path, to };
    const error = this.#failed(result, doing, handle);
    if (result === RESULT.ERROR) this.#matchEngine(error);
    throw error;
  }

  /** The error for the result of a failed call. */
  #failed(result: Result, doing: Doing, handle: Handle): Error {
    return result === RESULT.ERROR ? this.#failure(doing, handle) : resultError(result, doing);
  }

  /** The error behind a handle that could not be made, at which the caller has been `waited` ms. */
  failedToMake(op: string, parent: Handle, to?: string, waited = 0): Error {
    return this.#failure({ op, path: this.path, to }, parent, waited);
  }

  #failure(doing: Doing, handle: Handle, waited = 0): Error {
    const scratch = enterScratch();
    try {
      const frame = scratch.value;
      const size = this.native.error(handle, frame.bytes, frame.size);
      const failure = readFailure(frame, size);
      if (failure === undefined) return resultError(size < 0 ? size : RESULT.ERROR, doing);
      const code = failure.code === 0 ? CODE.ERROR : failure.code;
      return failureError({ ...failure, code, waited: Math.max(failure.waited, waited) }, doing);
    } finally {
      leaveScratch(scratch);
    }
  }

  /** A failed write may have ended transactions: ask the engine how many are left. */
  #matchEngine(error: Error): void {
    if (this.level === undefined || this.#handle === 0) return;
    const depth = this.native.depth(this.#handle);
    let level: Level | undefined = this.level;
    while (level !== undefined && level.depth > depth) level = level.below;
    this.#lose(level, error);
  }

  // --- Results that did not fit

  /** Fetches the result that waits on a handle. */
  take(op: string, handle: Handle): Taken {
    this.check(this.native.pending(handle, small.bytes, 8), op, handle);
    const [size = 0, high = 0] = small.words;
    if (high > 0 || size > SIZE_MAX - 3) {
      const message = `${cannot({ op, path: this.path })}: the result does not fit into one array`;
      throw new LsmError("LSM_NOMEM", message, { op, path: this.path });
    }
    const memory = new Memory(size);
    const taken = this.check(this.native.take(handle, 0, memory.bytes, size), op, handle);
    return { memory, size: taken };
  }

  // --- Transactions

  begin(op: string): Level {
    const level = new Level(this.level);
    const handle = this.use(op);
    this.check(this.native.begin(handle, level.depth), op, handle);
    this.level = level;
    return level;
  }

  /** Commits the innermost level, which must be `level`. */
  commit(level: Level, chain: boolean, op: string): void {
    this.requireInnermost(level, op);
    const handle = this.use(op);
    this.changes++;
    this.check(this.native.commit(handle, level.depth - 1), op, handle);
    if (!chain) return this.#end(level.below, "committed");
    level.epoch++;
    const result = this.native.begin(handle, level.depth);
    if (result >= 0) return;
    const error = this.#failed(result, { op, path: this.path, isCommitted: true }, handle);
    this.#end(level.below, "committed"); // that much was done
    throw error;
  }

  /**
   * Undoes `level` with all that are open inside it. `chain`: leaves it open, and empty. `because`
   * of: the failure that led here, if it was one of the engine's.
   */
  rollback(level: Level, chain: boolean, op: string, because?: Error): void {
    const handle = this.use(op);
    this.changes++;
    // A rollback to a level undoes it and leaves it open; to close it without touching the one below,
    // it is committed empty.
    const isOutermost = level.depth === 1;
    const target = isOutermost && !chain ? 0 : level.depth;
    const result = this.native.rollback(handle, target);
    if (result < 0) {
      const error = this.#failed(result, { op, path: this.path }, handle);
      // What cannot be undone on its own can neither be kept nor go on: all of it is undone.
      if (result === RESULT.ERROR) this.native.rollback(handle, 0);
      this.#matchEngine(because ?? error);
      throw error;
    }
    this.#end(level, "rolled back");
    level.epoch++;
    if (chain) return;
    if (!isOutermost) this.check(this.native.commit(handle, level.depth - 1), op, handle);
    this.#end(level.below, "rolled back");
  }

  /** Throws unless `level` is open and innermost. */
  requireInnermost(level: Level, op: string): void {
    if (this.level === level) return;
    const start = cannot({ op, path: this.path });
    const details = { op, path: this.path };
    if (level.state === "open") {
      throw new LsmMisuseError(`${start}: a nested transaction is still open`, details);
    }
    const { lostBy, state } = level;
    throw lostBy instanceof Error
      ? failedWriteError(start, { ...details, cause: lostBy })
      : new LsmMisuseError(`${start}: the transaction is already ${state}`, details);
  }

  /** Pops levels that nobody asked to end. */
  #lose(level: Level | undefined, by: Error | "closing"): void {
    for (let top = this.level; top !== undefined && top !== level; top = top.below) {
      top.lostBy = by;
    }
    this.#end(level, "rolled back");
  }

  /** Pops levels until `level` is the innermost. */
  #end(level: Level | undefined, state: TransactionState): void {
    for (let top = this.level; top !== undefined && top !== level; top = top.below) {
      top.state = state;
    }
    this.level = level;
    this.changes++;
  }
}

/** A call with a path in memory. */
function withPath(path: string, call: (bytes: Uint8Array, size: number) => Result): Result {
  const scratch = enterScratch();
  try {
    const { key } = scratch;
    key.reserve(0, path.length * 3);
    const size = key.text.write(path, 0, "utf8");
    return call(key.bytes, size);
  } finally {
    leaveScratch(scratch);
  }
}

/** The connection seen from one transaction. */
export class TransactionView implements View {
  readonly connection: Connection;
  readonly isFrozen = false;
  readonly level: Level;

  constructor(connection: Connection, level: Level) {
    this.connection = connection;
    this.level = level;
  }

  get handle(): Handle {
    return this.connection.handle;
  }

  use(op: string): Handle {
    const handle = this.connection.use(op);
    if (this.connection.level !== this.level) this.connection.requireInnermost(this.level, op);
    return handle;
  }
}
