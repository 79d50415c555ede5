/**
 * Looking after a database: what the engine does by itself, done on request, and what it tells of itself.
 *
 * @module
 */
import { INFO, RESULT, STATS, STATS_COUNT } from "../ffi/frames.ts";
import type { Handle, Native } from "../ffi/native.ts";
import type { Connection } from "./connection.ts";
import { LsmMisuseError } from "./errors.ts";
import { cannot } from "./failure.ts";
import { enterScratch, leaveScratch, Memory } from "./memory.ts";
import { checkOptions } from "./names.ts";
import { changedSettings, currentConfig } from "./options.ts";
import type { ChangeableOptions, LsmConfig } from "./options.ts";
import { describe } from "./packed.ts";

/** Options of `db.work()`. */
export interface WorkOptions {
  /** Merge from this many segments of one age on; 1: all into one. Default 1. */
  merge?: number | undefined;
  /**
   * Stop after about so many bytes written. Default 4 MiB; `Infinity`: when nothing is left to do.
   * Only then, and with `optimize`, is what lies far behind free space written anew, so that the
   * file can become shorter.
   */
  limit?: number | undefined;
}

/** Figures of a database, as `db.stats()` gives them. */
export interface LsmStats {
  /** Pages this connection has written. */
  readonly pagesWritten: number;
  /** Pages this connection has read; those of the mapped file do not count. */
  readonly pagesRead: number;
  /** Bytes written since the last checkpoint. */
  readonly uncheckpointedBytes: number;
  /** Bytes of recent data in memory, still growing. */
  readonly liveTreeBytes: number;
  /** Bytes of recent data in memory, waiting to be written out. */
  readonly oldTreeBytes: number;
  /** Size of the file. */
  readonly fileBytes: number;
  /** Size of the log file. */
  readonly logBytes: number;
  /** Sorted runs in the file: fewer are faster to read. */
  readonly segments: number;
  /** States of the database that are being read. */
  readonly openSnapshots: number;
  /** Bytes of a page. */
  readonly pageSize: number;
  /** Bytes of a block. */
  readonly blockSize: number;
}

/** One sorted run of pages. */
export interface LsmSegment {
  /** Its first page. */
  readonly first: number;
  /** Its last page. */
  readonly last: number;
  /** The page its index starts from. */
  readonly root: number;
  /** How many pages it has. */
  readonly pages: number;
}

/** One level: a segment, or the segments of a merge that is under way. */
export interface LsmLevel {
  /** Grows with each merge; 0 is fresh out of memory. */
  readonly age: number;
  /** One, or those of a merge with its output first. */
  readonly segments: readonly LsmSegment[];
}

/** How the file is laid out, as `db.structure()` gives it. */
export interface LsmStructure {
  /** Newest first. */
  readonly levels: readonly LsmLevel[];
  /** Blocks that are free, and the snapshot since which they are. */
  readonly free: readonly { readonly block: number; readonly snapshot: bigint }[];
  /** Start and end of each region of the log. */
  readonly log: readonly number[];
}

/** The values in force. */
export function readConfig(connection: Connection): LsmConfig {
  const handle = connection.use("config");
  // A setting of -1 is out of range for every verb: it is ignored, and the value in force comes back.
  return currentConfig((verb) =>
    connection.check(connection.native.config(handle, verb, -1), "config", handle)
  );
}

/** Changes settings; all are checked before the first is changed. */
export function changeConfig(connection: Connection, options: ChangeableOptions): void {
  const handle = connection.use("configure");
  const start = cannot({ op: "configure", path: connection.path });
  const details = { op: "configure", path: connection.path };
  const settings = changedSettings(
    options,
    (name) => new LsmMisuseError(`${start}: option ${name} is fixed when opening`, details),
  );
  const outside = ["log", "mmap"].find((name) =>
    (options as Record<string, unknown>)[name] !== undefined
  );
  if (outside !== undefined && connection.level !== undefined) {
    const message = `${start}: option ${outside} cannot change inside a transaction`;
    throw new LsmMisuseError(message, details);
  }
  for (const [verb, value] of settings) {
    connection.configure(handle, verb, value, "configure");
  }
}

/** Writes what is in memory to the file. */
export function flush(connection: Connection): void {
  const handle = outsideTransaction(connection, "flush");
  connection.check(connection.native.flush(handle), "flush", handle);
}

/** Merges segments; bytes written. */
export function work(connection: Connection, options: WorkOptions): number {
  checkOptions(options, ["merge", "limit"]);
  const { merge = 1, limit = 4 << 20 } = options;
  if (!Number.isInteger(merge) || merge < 1 || merge > 0x7fff_ffff) {
    throw new RangeError(`Option merge must be a whole number from 1 on, not ${String(merge)}`);
  }
  if (typeof limit !== "number" || !(limit > 0)) {
    throw new RangeError(`Option limit must be a number above 0, not ${String(limit)}`);
  }
  const kib = Math.ceil(limit / 1024);
  return workUpTo(connection, "work", merge, kib > 0x7fff_ffff ? -1 : kib);
}

/** Writes out what is in memory, and merges everything into one segment; bytes written. */
export function optimize(connection: Connection): number {
  flush(connection);
  return workUpTo(connection, "optimize", 1, -1);
}

function workUpTo(connection: Connection, op: string, merge: number, kib: number): number {
  const handle = outsideTransaction(connection, op);
  return connection.check(connection.native.work(handle, merge, kib), op, handle) * 1024;
}

/** Makes finished work durable; bytes covered. */
export function checkpoint(connection: Connection): number {
  const handle = connection.use("checkpoint");
  return connection.check(connection.native.checkpoint(handle), "checkpoint", handle) * 1024;
}

function outsideTransaction(connection: Connection, op: string): Handle {
  const handle = connection.use(op);
  if (connection.level === undefined) return handle;
  const doing = { op, path: connection.path };
  throw new LsmMisuseError(`${cannot(doing)}: a transaction is open`, doing);
}

/** Reads the user version. */
export function readUserVersion(connection: Connection): number {
  const handle = connection.use("userVersion");
  const out = new Memory(4);
  const result = connection.native.userVersion(handle, out.bytes, out.size);
  connection.check(result, "userVersion", handle);
  return out.words[0] as number;
}

/** Sets the user version. */
export function writeUserVersion(connection: Connection, version: number): void {
  if (typeof version !== "number") {
    throw new TypeError(`The user version must be a number, not ${describe(version)}`);
  }
  if (!Number.isInteger(version) || version < 0 || version > 0xffff_ffff) {
    throw new RangeError(`The user version must be a whole number of 32 bits, not ${version}`);
  }
  const handle = connection.use("userVersion");
  const result = connection.native.setUserVersion(handle, version);
  connection.check(result, "userVersion", handle);
}

/** Figures of the database. */
export function readStats(connection: Connection): LsmStats {
  const handle = connection.use("stats");
  const out = new Memory(STATS_COUNT * 8);
  connection.check(connection.native.stats(handle, out.bytes, out.size), "stats", handle);
  const figure = (index: number) =>
    (out.words[2 * index + 1] as number) * 2 ** 32 + (out.words[2 * index] as number);
  return {
    pagesWritten: figure(STATS.PAGES_WRITTEN),
    pagesRead: figure(STATS.PAGES_READ),
    uncheckpointedBytes: figure(STATS.NOT_CHECKPOINTED),
    liveTreeBytes: figure(STATS.LIVE_TREE),
    oldTreeBytes: figure(STATS.OLD_TREE),
    fileBytes: figure(STATS.FILE),
    logBytes: figure(STATS.LOG),
    segments: figure(STATS.SEGMENTS),
    openSnapshots: figure(STATS.SNAPSHOTS),
    pageSize: figure(STATS.PAGE_SIZE),
    blockSize: figure(STATS.BLOCK_SIZE),
  };
}

/** How the file is laid out. */
export function readStructure(connection: Connection): LsmStructure {
  const handle = connection.use("structure");
  const text = (verb: number) => readInfo(connection, connection.native, handle, verb);
  return parseStructure(
    text(INFO.DB_STRUCTURE),
    text(INFO.FREELIST),
    text(INFO.LOG_STRUCTURE),
  );
}

function readInfo(connection: Connection, native: Native, handle: Handle, verb: number): string {
  const scratch = enterScratch();
  try {
    const { value } = scratch;
    const size = native.info(handle, verb, 0, 0, value.bytes, value.size);
    if (size === RESULT.TOO_SMALL) {
      const taken = connection.take("structure", handle);
      return taken.memory.text.toString("utf8", 0, taken.size);
    }
    return value.text.toString("utf8", 0, connection.check(size, "structure", handle));
  } finally {
    leaveScratch(scratch);
  }
}

/**
 * Reads the engine's texts: `{age {first last root size} ...} ...`, `{block snapshot} ...`, and numbers.
 */
export function parseStructure(levels: string, free: string, log: string): LsmStructure {
  return {
    levels: groups(levels).map((level) => ({
      age: Number(/^\s*(\d+)/.exec(level)?.[1] ?? 0),
      segments: groups(level).map((segment) => {
        const [first = 0, last = 0, root = 0, pages = 0] = numbers(segment).map(Number);
        return { first, last, root, pages };
      }),
    })),
    free: groups(free).map((entry) => {
      const [block = 0n, snapshot = 0n] = numbers(entry);
      return { block: Number(block), snapshot };
    }),
    log: numbers(log).map(Number),
  };
}

/** The contents of the outermost braces, in order. */
function groups(text: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "{" && depth++ === 0) start = i + 1;
    else if (text[i] === "}" && --depth === 0) found.push(text.slice(start, i));
  }
  return found;
}

function numbers(text: string): bigint[] {
  return (text.match(/\d+/g) ?? []).map(BigInt);
}
