/**
 * Options: their names, units and limits, and the engine's settings behind them. Pure.
 *
 * @module
 */
import { CONFIG } from "../ffi/frames.ts";
import type { Codec, KeyCodec } from "./codec.ts";
import { checkOptions } from "./names.ts";
import { describe } from "./packed.ts";

/**
 * When the engine waits for the disk.
 *
 * - `"off"`: never. A power cut may corrupt the file.
 * - `"normal"`: at checkpoints. A power cut may lose the last transactions, never corrupts.
 * - `"full"`: at every commit. Nothing that was committed is lost.
 */
export type SafetyLevel = "off" | "normal" | "full";

/** Options that may be changed while a database is open; see {@link LsmOptions}. */
export interface ChangeableOptions {
  /** When to wait for the disk. Default `"normal"`. */
  safety?: SafetyLevel | undefined;
  /** Keep a log of commits. Default true; false loses recent commits even if just the process dies. */
  log?: boolean | undefined;
  /** Bytes of recent data kept in memory before they are written out as a segment; up to 1 GiB. */
  autoFlush?: number | undefined;
  /** Flush and merge as part of writes. Default true. */
  autoWork?: boolean | undefined;
  /** Segments merged at a time, from 2 on. Default 4; more than 8 makes reads slow. */
  autoMerge?: number | undefined;
  /** Checkpoint after this many bytes written; 0 or false: only on request. */
  autoCheckpoint?: number | false | undefined;
  /** Map the file into memory: all of it, none, or its first so many bytes. Default true. */
  mmap?: boolean | number | undefined;
  /**
   * Bytes of memory for what speeds up finding keys in the file (fences and filters), shared by all
   * connections of the database in this process. Default 64 MiB; 0: none. A segment wants 1.5 bytes
   * a key and 15 to 20 bytes a page: about 2 bytes a record of 100 bytes, so that the default serves segments of
   * 25 million such records. With less, reads become slower by steps, those of absent keys first.
   */
  memoryBudget?: number | undefined;
  /** How long to wait for a lock, in milliseconds. Default 5000; 0: not at all. */
  busyTimeout?: number | undefined;
}

/** Options that hold from opening on; see {@link LsmOptions}. */
export interface OpeningOptions {
  /** Open in the constructor. Default true. */
  open?: boolean | undefined;
  /** Create the file if there is none. Default true. */
  createIfMissing?: boolean | undefined;
  /** Refuse to open a file that exists. Default false. */
  errorIfExists?: boolean | undefined;
  /** Refuse all writes. Default false. */
  readOnly?: boolean | undefined;
  /**
   * Share the file with other processes. No effect yet: one process at a time, whatever is asked.
   */
  multiProcess?: boolean | undefined;
  /**
   * Flush, merge and checkpoint in a thread of the engine's instead of as part of writes. Default false.
   * What that thread fails with is thrown by the next write.
   */
  background?: boolean | undefined;
  /** Bytes; a power of two, 256 to 65536. For a new file only. Default 4096. */
  pageSize?: number | undefined;
  /** Bytes; a power of two, 64 KiB to 64 MiB. For a new file only. Default 1 MiB. */
  blockSize?: number | undefined;
  /** Shared library to load instead of the usual one; the same for all databases of a process. */
  library?: string | URL | undefined;
}

/** The option `keys`: required unless keys are strings, all of them and nothing else. */
export type KeysOption<K> = [K, string] extends [string, K] ? {
    /** How keys become bytes. Default `utf8`. */
    keys?: KeyCodec<K> | undefined;
  }
  : {
    /** How keys become bytes. */
    keys: KeyCodec<K>;
  };

/** The option `values`: required unless values are strings, all of them and nothing else. */
export type ValuesOption<V> = [V, string] extends [string, V] ? {
    /** How values become bytes. Default `utf8`. */
    values?: Codec<V> | undefined;
  }
  : {
    /** How values become bytes. */
    values: Codec<V>;
  };

/**
 * Options of a database. Sizes are in bytes, times in milliseconds. Defaults not stated are the engine's;
 * `db.config` tells what is in force.
 *
 * @example
 * ```ts
 * import { json, Lsm, type LsmOptions } from "@lsmdb/lsm";
 * const options: LsmOptions<string, unknown> = { values: json, safety: "full" };
 * using db = new Lsm("settings.ldb", options);
 * db.set("theme", { dark: true });
 * ```
 */
export type LsmOptions<K = string, V = string> =
  & KeysOption<K>
  & ValuesOption<V>
  & OpeningOptions
  & ChangeableOptions;

/** What follows the path in the constructor: options, which may be left out if none is required. */
export type LsmArguments<K, V> = [K, V, string, string] extends [string, string, K, V]
  ? [options?: LsmOptions<K, V>]
  : [options: LsmOptions<K, V>];

/** Values in force, as `db.config` shows them; see {@link LsmOptions}. */
export interface LsmConfig {
  /** Was the file to be created if there was none? */
  readonly createIfMissing: boolean;
  /** Was a file that exists to be refused? */
  readonly errorIfExists: boolean;
  /** Are writes refused? */
  readonly readOnly: boolean;
  /** May other processes have the file open? Not yet: false, whatever was asked. */
  readonly multiProcess: boolean;
  /** When the engine waits for the disk. */
  readonly safety: SafetyLevel;
  /** Is there a log of commits? */
  readonly log: boolean;
  /** Bytes; of the file, whatever was asked for. */
  readonly pageSize: number;
  /** Bytes; of the file, whatever was asked for. */
  readonly blockSize: number;
  /** Does a thread of the engine's flush, merge and checkpoint? */
  readonly background: boolean;
  /** Bytes of recent data kept in memory. */
  readonly autoFlush: number;
  /** Are flushing and merging part of writes? */
  readonly autoWork: boolean;
  /** Segments merged at a time. */
  readonly autoMerge: number;
  /** Bytes written between checkpoints; 0: only on request. */
  readonly autoCheckpoint: number;
  /** Is the file mapped into memory, or so many of its bytes? */
  readonly mmap: boolean | number;
  /** Bytes of memory for fences and filters. */
  readonly memoryBudget: number;
  /** Milliseconds to wait for a lock. */
  readonly busyTimeout: number;
}

/** A setting of the engine: verb and value. */
export type Setting = readonly [verb: number, value: number];

/** How one option is checked and translated. */
interface Rule {
  readonly verb: number;
  /** To the engine's number. Throws `TypeError` or `RangeError`. */
  readonly encode: (value: unknown, name: string) => number;
  readonly decode: (value: number) => unknown;
  readonly isChangeable: boolean;
}

const KIB = 1024;
const MIB = KIB * KIB;
const SAFETY: readonly SafetyLevel[] = ["off", "normal", "full"];

const changeable = { isChangeable: true };
const atOpening = { isChangeable: false };
const flag = {
  encode: (value: unknown, name: string) => Number(aBoolean(value, name)),
  decode: (value: number) => value !== 0,
};
const asIs = (value: number) => value;
const fromKib = (value: number) => value * KIB;

const RULES: Readonly<Record<keyof LsmConfig, Rule>> = {
  createIfMissing: { verb: CONFIG.CREATE, ...flag, ...atOpening },
  errorIfExists: { verb: CONFIG.MUST_BE_NEW, ...flag, ...atOpening },
  readOnly: { verb: CONFIG.READONLY, ...flag, ...atOpening },
  multiProcess: { verb: CONFIG.MULTIPLE_PROCESSES, ...flag, ...atOpening },
  background: { verb: CONFIG.BACKGROUND, ...flag, ...atOpening },
  pageSize: {
    verb: CONFIG.PAGE_SIZE,
    encode: (value, name) => aPowerOfTwo(value, name, 256, 65536),
    decode: asIs,
    ...atOpening,
  },
  blockSize: {
    verb: CONFIG.BLOCK_SIZE,
    encode: (value, name) => aPowerOfTwo(value, name, 64 * KIB, 64 * MIB) / KIB,
    decode: fromKib,
    ...atOpening,
  },
  safety: {
    verb: CONFIG.SAFETY,
    encode: aSafetyLevel,
    decode: (value) => SAFETY[value] ?? "normal",
    ...changeable,
  },
  log: { verb: CONFIG.USE_LOG, ...flag, ...changeable },
  autoWork: { verb: CONFIG.AUTOWORK, ...flag, ...changeable },
  autoFlush: {
    verb: CONFIG.AUTOFLUSH,
    encode: (value, name) => wholeKib(anInteger(value, name, 0, 1024 * MIB), name),
    decode: fromKib,
    ...changeable,
  },
  autoMerge: {
    verb: CONFIG.AUTOMERGE,
    encode: (value, name) => anInteger(value, name, 2, 0x7fff_ffff),
    decode: asIs,
    ...changeable,
  },
  autoCheckpoint: {
    verb: CONFIG.AUTOCHECKPOINT,
    encode: (value, name) =>
      value === false ? 0 : wholeKib(anInteger(value, name, 0, 0x7fff_ffff * KIB), name),
    decode: fromKib,
    ...changeable,
  },
  memoryBudget: {
    verb: CONFIG.MEMORY_BUDGET_KB,
    encode: (value, name) => wholeKib(anInteger(value, name, 0, 0x7fff_ffff * KIB), name),
    decode: fromKib,
    ...changeable,
  },
  mmap: { verb: CONFIG.MMAP, encode: aMapping, decode: fromMapping, ...changeable },
  busyTimeout: {
    verb: CONFIG.BUSY_TIMEOUT,
    encode: (value, name) => anInteger(value, name, 0, 0x7fff_ffff),
    decode: asIs,
    ...changeable,
  },
};

const NAMES = Object.keys(RULES) as (keyof LsmConfig)[];
const ALL_NAMES = ["keys", "values", "open", "library", ...NAMES];

/** Checks the options of the constructor and gives the engine's settings for those present. */
export function openingSettings(options: OpeningOptions & ChangeableOptions): Setting[] {
  checkOptions(options, ALL_NAMES);
  if (options.open !== undefined) aBoolean(options.open, "open");
  const { library } = options;
  if (library !== undefined && typeof library !== "string" && !(library instanceof URL)) {
    throw new TypeError(`Option library must be a path or a URL, not ${describe(library)}`);
  }
  return settings(options, NAMES);
}

/** Checks the options of `configure`; throws `TypeError` for one that is fixed, through `fixed`. */
export function changedSettings(
  options: ChangeableOptions,
  fixed: (name: string) => Error,
): Setting[] {
  checkOptions(options, ALL_NAMES);
  const names = NAMES.filter((name) => RULES[name].isChangeable);
  const wrong = Object.keys(options).find((name) => !names.some((known) => known === name));
  if (wrong !== undefined) throw fixed(wrong);
  return settings(options, names);
}

function settings(options: object, names: readonly (keyof LsmConfig)[]): Setting[] {
  const list: Setting[] = [];
  for (const name of names) {
    const value = (options as Record<string, unknown>)[name];
    if (value !== undefined) list.push([RULES[name].verb, RULES[name].encode(value, name)]);
  }
  return list;
}

/** The values in force; `ask` gives the engine's number for a verb. */
export function currentConfig(ask: (verb: number) => number): LsmConfig {
  const entries = NAMES.map((name) => [name, RULES[name].decode(ask(RULES[name].verb))]);
  return Object.freeze(Object.fromEntries(entries)) as LsmConfig;
}

// --- Checks of single values

function aBoolean(value: unknown, name: string): boolean {
  if (typeof value === "boolean") return value;
  throw new TypeError(`Option ${name} must be a boolean, not ${describe(value)}`);
}

function anInteger(value: unknown, name: string, least: number, most: number): number {
  if (typeof value !== "number") {
    throw new TypeError(`Option ${name} must be a number, not ${describe(value)}`);
  }
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(
      `Option ${name} must be a whole number from ${least} to ${most}, not ${value}`,
    );
  }
  return value;
}

function wholeKib(size: number, name: string): number {
  if (size % KIB !== 0) {
    throw new RangeError(`Option ${name} must be a multiple of 1024 bytes, not ${size}`);
  }
  return size / KIB;
}

function aPowerOfTwo(value: unknown, name: string, least: number, most: number): number {
  const size = anInteger(value, name, least, most);
  if (!Number.isInteger(Math.log2(size))) {
    throw new RangeError(`Option ${name} must be a power of two, not ${size}`);
  }
  return size;
}

function aSafetyLevel(value: unknown, name: string): number {
  if (typeof value !== "string") {
    throw new TypeError(`Option ${name} must be a string, not ${describe(value)}`);
  }
  const level = SAFETY.findIndex((known) => known === value);
  if (level >= 0) return level;
  throw new RangeError(`Option ${name} must be ${SAFETY.join(", ")}, not ${JSON.stringify(value)}`);
}

function aMapping(value: unknown, name: string): number {
  if (typeof value === "boolean") return Number(value);
  const kib = wholeKib(anInteger(value, name, 0, 0x7fff_ffff * KIB), name);
  if (kib !== 1) return kib;
  throw new RangeError(`Option ${name} must be 0, or at least 2048 bytes`); // 1 means all of it
}

function fromMapping(value: number): boolean | number {
  return value > 1 ? value * KIB : value === 1;
}
