/**
 * Numbers of `csrc/lsm_bulk.h` and `csrc/lsm.h`: result codes, flags, verbs, and where the fields of a
 * frame are. `tests/runtime/header.test.ts` reads both headers and compares: a constant here has the
 * name of its macro without `LSM_BULK_` or `LSM_`, inside the object of its family.
 *
 * Frames are little-endian and a multiple of 4 bytes long, so that a block can be read as a
 * `Uint32Array`; every supported target is little-endian.
 *
 * @module
 */

/** Version of the interface this binding speaks: `LSM_BULK_ABI`. */
export const ABI = 3;

/** Negative results. */
export const RESULT = {
  ABSENT: -1,
  TOO_SMALL: -2,
  ERROR: -3,
  CLOSED: -4,
  IN_USE: -5,
  MISUSE: -6,
} as const;

/** Codes in an error frame: those of `lsm.h`, and those of `lsm_bulk.h` from 1026 on. */
export const CODE = {
  ERROR: 1,
  BUSY: 5,
  NOMEM: 7,
  READONLY: 8,
  IOERR: 10,
  CORRUPT: 11,
  FULL: 13,
  CANTOPEN: 14,
  PROTOCOL: 15,
  MISUSE: 21,
  MISMATCH: 50,
  IOERR_NOENT: 266,
  NOTADB: 1026,
  EXISTS: 1027,
  ISDIR: 1028,
  NOT_COUNTER: 1029,
  OVERFLOW: 1030,
} as const;

/** Locks named in an error frame. */
export const LOCK = {
  NONE: 0,
  WRITER: 1,
  WORKER: 2,
  CHECKPOINTER: 3,
  OPEN: 4,
  SNAPSHOT: 5,
} as const;

/** Verbs of `config`. */
export const CONFIG = {
  AUTOFLUSH: 1,
  PAGE_SIZE: 2,
  SAFETY: 3,
  BLOCK_SIZE: 4,
  AUTOWORK: 5,
  MMAP: 7,
  USE_LOG: 8,
  AUTOMERGE: 9,
  MULTIPLE_PROCESSES: 11,
  AUTOCHECKPOINT: 12,
  READONLY: 16,
  BUSY_TIMEOUT: 1000,
  CREATE: 1001,
  MUST_BE_NEW: 1002,
  MEMORY_BUDGET_KB: 1003,
  BACKGROUND: 1004,
} as const;

/** Verbs of `info` used here. */
export const INFO = { DB_STRUCTURE: 3, LOG_STRUCTURE: 4, FREELIST: 8 } as const;

/** Modes of `seek` and `cursorSeek`. */
export const SEEK = { EQ: 0, LE: 1, GE: 2, LT: 3, GT: 4, LEFAST: 5 } as const;

/** Movements of a cursor. */
export const MOVE = { FIRST: 0, LAST: 1, NEXT: 2, PREV: 3 } as const;

/** Kinds of operation in a packed batch. */
export const OP = { PUT: 1, REMOVE: 2, REMOVE_RANGE: 3 } as const;

/** Bits of ranges, scans and deletes. */
export const FLAG = {
  HAS_LOWER: 0x0100,
  LOWER_INCLUSIVE: 0x0200,
  HAS_UPPER: 0x0400,
  UPPER_INCLUSIVE: 0x0800,
  REVERSE: 0x1000,
  KEYS_ONLY: 0x2000,
  VALUES_ONLY: 0x4000,
  BLIND: 0x8000,
} as const;

/** Bits of a backup. */
export const BACKUP = { OVERWRITE: 1 } as const;

/** What `scan` gives instead of a handle if its block is all there is. */
export const SCAN_ENDED = 1;

/** Progress of a task: done and total, 64 bits each. */
export const PROGRESS_SIZE = 16;

/** Report of a verification: indexes of its 32-bit fields; problems follow at `REPORT_HEAD_SIZE`. */
export const REPORT_FIELD = {
  PROBLEMS: 0,
  RECORDS_LOW: 1,
  RECORDS_HIGH: 2,
  SEGMENTS: 3,
  PAGES_LOW: 4,
  PAGES_HIGH: 5,
} as const;
export const REPORT_HEAD_SIZE = 24;
/** A problem in it: u32 page low, u32 page high, u32 text size, text, padding. */
export const PROBLEM_HEAD_SIZE = 12;
/** Problems listed in one report; all are counted. */
export const VERIFY_LISTED_MAX = 1000;

/** The limit of a scan that has none. */
export const NO_LIMIT = 0xffff_ffff;

/** Longest key, value or block: sizes are results of type i32. */
export const SIZE_MAX = 0x7fff_ffff;

/** Error frame: indexes of its 32-bit fields; the text follows at `ERROR_TEXT_OFFSET`. */
export const ERROR_FIELD = {
  CODE: 0,
  SYSTEM: 1,
  PAGE_LOW: 2,
  PAGE_HIGH: 3,
  LOCK: 4,
  WAITED: 5,
  HOLDER: 6,
  TEXT_SIZE: 7,
} as const;
export const ERROR_TEXT_OFFSET = 32;

/** Record: u32 key size, u32 value size, key, value, padding. */
export const RECORD_HEAD_SIZE = 8;
/** Block of a scan: u32 record count, u32 1 if the scan has ended, records. */
export const BLOCK_HEAD_SIZE = 8;
/** Answer of `getMany`: u32 status (0 absent, 1 present), u32 value size, value, padding. */
export const ANSWER_HEAD_SIZE = 8;
/** Question of `getMany`: u32 key size, key, padding. */
export const QUESTION_HEAD_SIZE = 4;
/** Operation of a batch: u32 kind, u32 size 1, u32 size 2, bytes 1, bytes 2, padding. */
export const OP_HEAD_SIZE = 12;

/** Numbers in the answer of `stats`, 64 bits each, by index. */
export const STATS = {
  PAGES_WRITTEN: 0,
  PAGES_READ: 1,
  NOT_CHECKPOINTED: 2,
  LIVE_TREE: 3,
  OLD_TREE: 4,
  FILE: 5,
  LOG: 6,
  SEGMENTS: 7,
  SNAPSHOTS: 8,
  PAGE_SIZE: 9,
  BLOCK_SIZE: 10,
} as const;
export const STATS_COUNT = 11;

/** `size` rounded up to the next multiple of 4. Correct up to `SIZE_MAX`. */
export function padded(size: number): number {
  return (size + 3) & ~3;
}
