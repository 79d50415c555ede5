/**
 * The database.
 *
 * @module
 */
import { backUp } from "./backup.ts";
import type { BackupOptions } from "./backup.ts";
import type { Codec, KeyCodec } from "./codec.ts";
import { utf8 } from "./codecs.ts";
import { Connection } from "./connection.ts";
import { destroy } from "./destroy.ts";
import type { DestroyOptions } from "./destroy.ts";
import {
  changeConfig,
  checkpoint,
  flush,
  optimize,
  readConfig,
  readStats,
  readStructure,
  readUserVersion,
  work,
  writeUserVersion,
} from "./maintenance.ts";
import type { LsmStats, LsmStructure, WorkOptions } from "./maintenance.ts";
import { openNamespace, withCodecs } from "./namespace.ts";
import type { CodecOptions, Namespace } from "./namespace.ts";
import { openingSettings } from "./options.ts";
import type { ChangeableOptions, LsmArguments, LsmConfig, LsmOptions } from "./options.ts";
import { describe, packedKey, packedValue } from "./packed.ts";
import { toPath } from "./path.ts";
import { Snapshot } from "./snapshot.ts";
import type { Source } from "./source.ts";
import { chainOption, openTransaction } from "./transaction.ts";
import type { ChainOptions, Synchronous, Transaction } from "./transaction.ts";
import type { ProgressOptions } from "./task.ts";
import { verifyFile, verifyOpen } from "./verify.ts";
import type { VerifyFileOptions, VerifyReport } from "./verify.ts";
import { WritingView } from "./writer.ts";

/** Passes a source to the constructor in place of options: only {@link Lsm.as} can. */
const SHARED: unique symbol = Symbol("shared");

interface Sharing<K, V> {
  [SHARED]?: Source<K, V>;
}

/**
 * An ordered key/value database in one file.
 *
 * It has the shape of a `Map` whose keys are in order. Keys and values are text unless the options `keys`
 * and `values` say otherwise. Everything but {@link backup} and {@link verify} is synchronous. Single
 * writes commit at once; what belongs together goes into a {@link transaction}.
 *
 * Any number of threads of one process may have the same file open, each through an object of its
 * own; other processes may not, yet.
 *
 * @example
 * ```ts
 * import { Lsm } from "@lsmdb/lsm";
 * using db = new Lsm("example.ldb");
 * db.set("k1", "one").set("k2", "two");
 * console.log(db.get("k1")); // one
 * for (const [key, value] of db.entries({ gte: "k" })) console.log(key, value);
 * ```
 */
export class Lsm<K = string, V = string> extends WritingView<K, V> implements Disposable {
  readonly #connection: Connection;
  readonly #source: Source<K, V>;

  /**
   * Opens a database, creating it if there is none.
   *
   * @param path The file; the working directory of this moment counts. A URL must be a `file:` one.
   * @param options See {@link LsmOptions}; `keys` and `values` are required unless they are text.
   * @throws {LsmError} `LSM_CANTOPEN`, `LSM_NOTADB`, `LSM_BUSY`; `LSM_LIBRARY` if the engine is not found.
   * @example
   * ```ts
   * import { json, Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("documents.ldb", { values: json });
   * db.set("draft", { title: "On order", words: 0 });
   * ```
   */
  constructor(path: string | URL, ...[options]: LsmArguments<K, V>) {
    const given = (options === undefined ? {} : options) as LsmOptions<K, V> & Sharing<K, V>;
    const shared = given?.[SHARED];
    const source = shared ?? newSource(path, given);
    super(source);
    this.#source = source;
    this.#connection = source.view.connection;
    if (shared === undefined && given.open !== false) this.#connection.open();
  }

  /**
   * Removes a database: the file, and `-log` and `-shm` beside it. What is open in this or another process,
   * no database, or a folder, is left as it is. An empty file is an empty database; one that is damaged is
   * a database.
   *
   * A connection of another process that only reads, and is not reading just now, does not count as open: it
   * goes on with what it has.
   *
   * Nothing happens if there is no such file, also to files beside it: they may be somebody else's. In Deno
   * no permission to write there is needed: native code asks for none.
   *
   * @throws {LsmBusyError} If it is open; nothing is waited for.
   * @throws {LsmMisuseError} If it is a symbolic link.
   * @throws {LsmError} `LSM_NOTADB`, `LSM_CANTOPEN`; `LSM_IOERR` if a file cannot be removed.
   * @example
   * ```ts ignore
   * import { Lsm } from "@lsmdb/lsm";
   * Lsm.destroy("example.ldb");
   * ```
   */
  static destroy(path: string | URL, options: DestroyOptions = {}): void {
    destroy(path, options);
  }

  /**
   * Checks a database file that need not be open, nor be a database: whatever is wrong with what is in
   * it goes into the report. Nothing is written to it. What is only in the log beside it, because a
   * process was killed, is not part of it. See {@link verify} for one that is open.
   *
   * @param path The file.
   * @throws {LsmError} If it cannot be read at all: `LSM_CANTOPEN`; `LSM_BUSY` if another process has it
   * open.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * new Lsm("example.ldb").close();
   * const { ok, problems } = await Lsm.verify("example.ldb");
   * if (!ok) for (const { page, reason } of problems) console.log(page, reason);
   * ```
   */
  static verify(path: string | URL, options: VerifyFileOptions = {}): Promise<VerifyReport> {
    return verifyFile(path, options);
  }

  /** The file, as an absolute path. */
  get path(): string {
    return this.#connection.path;
  }

  /** Is it open? */
  get isOpen(): boolean {
    return this.#connection.isOpen;
  }

  /**
   * Opens it, after `open: false` or after it was closed, with the options it was made with.
   *
   * @returns True if this call opened it.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb", { open: false });
   * console.log(db.isOpen, db.open(), db.open()); // false true false
   * ```
   */
  open(): boolean {
    return this.#connection.open();
  }

  /**
   * Closes it, and everything that was opened from it; rolls back open transactions. The last connection to
   * close writes everything to the file, and removes the files beside it.
   *
   * @returns True if this call closed it.
   * @throws {LsmError} If the final writes failed. It is closed all the same. Nothing committed is
   *   lost, as the log keeps it for the next opening; with `log: false` what was in memory is.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * const db = new Lsm("example.ldb");
   * console.log(db.close(), db.close()); // true false
   * ```
   */
  close(): boolean {
    return this.#connection.close();
  }

  /**
   * Closes it at the end of a block that declares it with `using`. Silent if the final writes
   * failed for want of space, memory or a device, and the log keeps what was committed: the block
   * may be ending with that very failure. Call {@link close} to hear of it.
   */
  [Symbol.dispose](): void {
    this.#connection.dispose();
  }

  /**
   * Options in force: what was asked for, unless the file or the system decided otherwise.
   *
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb", { pageSize: 1024 });
   * console.log(db.config.pageSize); // that of the file, if it existed
   * ```
   */
  get config(): LsmConfig {
    return readConfig(this.#connection);
  }

  /**
   * Changes options of an open database; those left out stay as they are.
   *
   * @throws {LsmMisuseError} For an option that holds from opening on.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.configure({ safety: "full", busyTimeout: 100 });
   * ```
   */
  configure(options: ChangeableOptions): void {
    changeConfig(this.#connection, options);
  }

  /**
   * A number of 32 bits for the application's use. It is kept in memory only: 0 after the last connection
   * has closed, and after a crash.
   */
  get userVersion(): number {
    return readUserVersion(this.#connection);
  }

  set userVersion(version: number) {
    writeUserVersion(this.#connection, version);
  }

  // --- Other ways to see it

  /**
   * The same database through other codecs. Connection and transactions are shared.
   *
   * @example
   * ```ts
   * import { bytes, Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.set("key", "é");
   * console.log(db.as({ values: bytes }).get("key")); // Uint8Array(2) [ 195, 169 ]
   * ```
   */
  as<K2, V2>(
    codecs: CodecOptions<K2, V2> & { keys: KeyCodec<K2>; values: Codec<V2> },
  ): Lsm<K2, V2>;
  /** Through another codec for keys. */
  as<K2>(codecs: CodecOptions<K2, V> & { keys: KeyCodec<K2> }): Lsm<K2, V>;
  /** Through another codec for values. */
  as<V2>(codecs: CodecOptions<K, V2> & { values: Codec<V2> }): Lsm<K, V2>;
  /** Through codecs that are the same, or for the same types. */
  as(codecs: CodecOptions<K, V>): Lsm<K, V>;
  as<K2, V2>(codecs: CodecOptions<K2, V2>): Lsm<K2, V2> {
    const shared = { [SHARED]: withCodecs(this.#source, codecs) };
    return new Lsm<K2, V2>(this.path, ...[shared] as unknown as LsmArguments<K2, V2>);
  }

  /**
   * The keys under a prefix as a database of their own. Connection and transactions are shared.
   *
   * @param prefix Put in front of every key.
   * @param codecs Default: text keys, and the values of this database.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * const users = db.namespace("user:");
   * users.set("7", "Ada");
   * console.log(db.get("user:7"), users.count()); // Ada 1
   * users.clear(); // only those
   * ```
   */
  namespace<K2, V2>(
    prefix: K,
    codecs: CodecOptions<K2, V2> & { keys: KeyCodec<K2>; values: Codec<V2> },
  ): Namespace<K2, V2>;
  /** With a codec for keys. */
  namespace<K2>(
    prefix: K,
    codecs: CodecOptions<K2, V> & { keys: KeyCodec<K2> },
  ): Namespace<K2, V>;
  /** With a codec for values. */
  namespace<V2>(
    prefix: K,
    codecs: CodecOptions<string, V2> & { values: Codec<V2> },
  ): Namespace<string, V2>;
  /** With text keys, and the values of this database. */
  namespace(prefix: K, codecs?: CodecOptions<string, V>): Namespace<string, V>;
  namespace<K2, V2>(prefix: K, codecs: CodecOptions<K2, V2> = {}): Namespace<K2, V2> {
    return openNamespace(this.#source, prefix, codecs);
  }

  /**
   * A frozen view of what has been committed. Pins disk space until closed.
   *
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * using before = db.snapshot();
   * db.clear();
   * for (const [key, value] of before) db.set(key, value.trim());
   * ```
   */
  snapshot(): Snapshot<K, V> {
    const { keys, values } = this.#source;
    return new Snapshot(this.#connection, keys, values);
  }

  // --- Transactions

  /**
   * Runs a function in a transaction: commits when it returns, and undoes everything when it throws.
   * Without a function: opens a transaction for `using`, which is undone unless committed.
   *
   * Inside a transaction this opens a nested one. What is done through this object meanwhile belongs to
   * the innermost.
   *
   * @param fn Gets the transaction. Must not be async.
   * @returns What the function returns; without one, the transaction.
   * @throws {LsmClosedError} If the function closed the database before a commit, which undoes the
   *   transaction.
   * @throws {LsmMisuseError} If a failed write or commit undid the transaction, and the function
   *   caught that error: it is the `cause`.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * const before = db.transaction((tx) => {
   *   const before = tx.get("last visitor");
   *   tx.set("last visitor", "Ada");
   *   return before;
   * });
   * ```
   */
  transaction<T>(fn: (tx: Transaction<K, V>) => Synchronous<T>): T;
  /** Opens a transaction for `using`: undone unless committed. */
  transaction(): Transaction<K, V>;
  transaction<T>(fn?: (tx: Transaction<K, V>) => Synchronous<T>): T | Transaction<K, V> {
    return openTransaction(this.#source, fn);
  }

  /**
   * Wraps a function so that each call of it is a transaction. The wrapper has the function's name, length
   * and `this`. Also a decorator of methods: `@db.transactional`.
   *
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * const rename = db.transactional((from: string, to: string) => {
   *   db.set(to, db.getOrThrow(from));
   *   db.delete(from);
   * });
   * db.set("old", "value");
   * rename("old", "new");
   * ```
   */
  readonly transactional: <This, A extends unknown[], R>(
    fn: (this: This, ...args: A) => Synchronous<R>,
  ) => (this: This, ...args: A) => R = (fn) => {
    if (typeof fn !== "function") throw new TypeError(`Expected a function, got ${describe(fn)}`);
    const source = this.#source;
    type This = ThisParameterType<typeof fn>;
    type A = Parameters<typeof fn>;
    const wrapper = function (this: This, ...args: A) {
      return openTransaction(source, () => fn.apply(this, args));
    };
    Object.defineProperty(wrapper, "name", { value: fn.name, configurable: true });
    Object.defineProperty(wrapper, "length", { value: fn.length, configurable: true });
    return wrapper as never;
  };

  /**
   * Opens a transaction, by hand. See {@link transaction} for a way that cannot be left open.
   *
   * @returns How many are open now.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.begin();
   * db.set("key", "value");
   * console.log(db.rollback(), db.rollback()); // true false
   * ```
   */
  begin(): number {
    return this.#connection.begin("begin").depth;
  }

  /**
   * Commits the innermost transaction.
   *
   * @param options `chain`: and begins the next one at once.
   * @returns False if none is open.
   */
  commit(options: ChainOptions = {}): boolean {
    const chain = chainOption(options);
    this.#connection.use("commit");
    const { level } = this.#connection;
    if (level === undefined) return false;
    this.#connection.commit(level, chain, "commit");
    return true;
  }

  /**
   * Undoes the innermost transaction.
   *
   * @param options `chain`: and leaves it open.
   * @returns False if none is open.
   */
  rollback(options: ChainOptions = {}): boolean {
    const chain = chainOption(options);
    this.#connection.use("rollback");
    const { level } = this.#connection;
    if (level === undefined) return false;
    this.#connection.rollback(level, chain, "rollback");
    return true;
  }

  /** How many transactions are open, one inside the other. */
  get transactionDepth(): number {
    return this.#connection.level?.depth ?? 0;
  }

  // --- Maintenance

  /**
   * Writes what is in memory to the file, as a new segment. Happens by itself; see `autoFlush`.
   *
   * @throws {LsmMisuseError} Inside a transaction.
   */
  flush(): void {
    flush(this.#connection);
  }

  /**
   * Merges segments. Happens by itself; see `autoWork`.
   *
   * @returns Bytes written; 0 if there was nothing to do.
   * @throws {LsmMisuseError} Inside a transaction.
   * @throws {LsmBusyError} If another connection is at it.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb", { autoWork: false });
   * db.flush();
   * while (db.work({ merge: 4, limit: 1 << 20 }) > 0);
   * ```
   */
  work(options: WorkOptions = {}): number {
    return work(this.#connection, options);
  }

  /**
   * Makes the work done so far durable, and the space of replaced data reusable. Happens by itself; see
   * `autoCheckpoint`.
   *
   * @returns Bytes covered; 0 if there was nothing to do.
   */
  checkpoint(): number {
    return checkpoint(this.#connection);
  }

  /**
   * Merges everything into one segment: the smallest file, the fastest reads. Rewrites the whole database.
   *
   * @returns Bytes written.
   * @throws {LsmMisuseError} Inside a transaction.
   */
  optimize(): number {
    return optimize(this.#connection);
  }

  /**
   * Copies what is committed now into a file of its own: consistent, compact (one segment, nothing
   * deleted or replaced in it, no log), durable when the promise is fulfilled. Reading and writing go on
   * meanwhile, and do not show in the copy; the work is done in a thread of the engine's.
   *
   * Closing the database stops it. A copy that is not completed, whatever the reason, is deleted; one that
   * a killed process left is refused as `LSM_NOTADB`. Like a snapshot, it pins disk space as long as it
   * lasts. The whole database is copied, also if this object sees it through other codecs.
   *
   * @param to The file to make. In Deno no permission to write there is needed: native code asks for none.
   * @throws {LsmError} `LSM_CANTOPEN` if the file is there already, or cannot be made.
   * @throws {LsmMisuseError} If it is the file of this database.
   * @throws {LsmBusyError} If the file to be replaced is open, and stays it for longer than
   *   `busyTimeout`; nothing else waits meanwhile.
   * @throws {LsmClosedError} If the database is closed meanwhile.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * await db.backup("example-copy.ldb", {
   *   overwrite: true,
   *   signal: AbortSignal.timeout(60_000),
   *   onProgress: ({ done, total }) => console.log(`${Math.floor(100 * done / total)} %`),
   * });
   * ```
   */
  backup(to: string | URL, options: BackupOptions = {}): Promise<void> {
    return backUp(this.#connection, to, options);
  }

  /**
   * Reads every page of the file and checks it against the rules of the format: sums, order of keys,
   * indexes, links, free space. Changes nothing; reading and writing go on meanwhile, as the work is done
   * in a thread of the engine's. It concerns what the file holds now: {@link flush} before includes
   * what is still in memory.
   *
   * @returns Damage found is in the report, it is not thrown.
   * @throws {LsmError} If the file cannot be read.
   * @throws {LsmClosedError} If the database is closed meanwhile.
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * db.flush();
   * const report = await db.verify();
   * console.log(report.ok, report.problems); // true []
   * ```
   */
  verify(options: ProgressOptions = {}): Promise<VerifyReport> {
    return verifyOpen(this.#connection, options);
  }

  /**
   * Figures of the database and of this connection.
   *
   * @example
   * ```ts
   * import { Lsm } from "@lsmdb/lsm";
   * using db = new Lsm("example.ldb");
   * const { segments, fileBytes } = db.stats();
   * console.log(`${segments} segments in ${fileBytes} bytes`);
   * ```
   */
  stats(): LsmStats {
    return readStats(this.#connection);
  }

  /** How the file is laid out: levels and segments, free blocks, log. For tools. */
  structure(): LsmStructure {
    return readStructure(this.#connection);
  }
}

function newSource<K, V>(path: string | URL, options: LsmOptions<K, V>): Source<K, V> {
  const settings = openingSettings(options);
  // The types require a codec unless K or V is text.
  const { keys = utf8 as unknown as KeyCodec<K>, values = utf8 as unknown as Codec<V>, library } =
    options as { keys?: KeyCodec<K>; values?: Codec<V>; library?: string | URL };
  return {
    view: new Connection(toPath(path), settings, library),
    keys: packedKey(keys),
    values: packedValue(values),
  };
}
