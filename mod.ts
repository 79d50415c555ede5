/**
 * An embedded ordered key/value store for Deno and Bun: one file, sorted keys, transactions, snapshots. The
 * file format is that of SQLite's LSM1, which Python's `lsm-db` reads and writes too.
 *
 * ```ts
 * import { Lsm } from "@lsmdb/lsm";
 *
 * using db = new Lsm("readme.ldb");
 * db.setMany({ "fruit:apple": "red", "fruit:lemon": "yellow", "tree:oak": "tall" });
 *
 * console.log(db.get("fruit:apple")); // red
 * for (const [key, value] of db.entries({ prefix: "fruit:" })) console.log(key, value);
 *
 * db.transaction((tx) => { // all of it or nothing
 *   tx.delete("tree:oak");
 *   tx.set("bench:oak", "new");
 * });
 * ```
 *
 * Everything but `backup` and `verify` is synchronous. Deno needs one permission: `--allow-ffi=<folder of the library>`.
 *
 * @module
 */
export { Lsm } from "./src/database.ts";
export type {
  ChangeableOptions,
  KeysOption,
  LsmArguments,
  LsmConfig,
  LsmOptions,
  OpeningOptions,
  SafetyLevel,
  ValuesOption,
} from "./src/options.ts";

export type {
  BatchOp,
  CursorOptions,
  Entries,
  GetOptions,
  Reader,
  ReadOptions,
  SeekMode,
  SliceOptions,
  Writer,
} from "./src/types.ts";
export type { KeyBounds, KeyRange } from "./src/range.ts";
export type { ReadingView } from "./src/reader.ts";
export type { WritingView } from "./src/writer.ts";
export type { LsmIterator } from "./src/iterator.ts";
export type { Cursor } from "./src/cursor.ts";
export type { ChainOptions, Synchronous, Transaction } from "./src/transaction.ts";
export type { TransactionState } from "./src/connection.ts";
export type { Snapshot } from "./src/snapshot.ts";
export type { CodecOptions, Namespace } from "./src/namespace.ts";
export type {
  LsmLevel,
  LsmSegment,
  LsmStats,
  LsmStructure,
  WorkOptions,
} from "./src/maintenance.ts";

export type { BackupOptions } from "./src/backup.ts";
export type { DestroyOptions } from "./src/destroy.ts";
export type { VerifyFileOptions, VerifyProblem, VerifyReport } from "./src/verify.ts";
export type { Progress, ProgressOptions } from "./src/task.ts";

export type { Codec, KeyCodec } from "./src/codec.ts";
export { bytes, f64, i64, json, u64, utf8 } from "./src/codecs.ts";
export { tuple } from "./src/tuple.ts";
export type { TuplePart } from "./src/tuple.ts";
export { schema } from "./src/schema.ts";
export type { SchemaIssue, SchemaResult, StandardSchema } from "./src/schema.ts";

export {
  LsmBusyError,
  LsmClosedError,
  LsmCorruptError,
  LsmDecodeError,
  LsmError,
  LsmMisuseError,
  LsmNotFoundError,
  LsmReadOnlyError,
} from "./src/errors.ts";
export type { LockName, LsmErrorCode, LsmErrorDetails } from "./src/errors.ts";

export { Safety, Seek } from "./src/seek.ts";
export { version } from "./src/version.ts";
export type { LsmVersion } from "./src/version.ts";
