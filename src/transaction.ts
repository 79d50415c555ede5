/**
 * Transactions as objects.
 *
 * @module
 */
import { finishWith } from "./atomic.ts";
import { TransactionView } from "./connection.ts";
import type { TransactionState } from "./connection.ts";
import { checkOptions } from "./names.ts";
import { describe } from "./packed.ts";
import type { Source } from "./source.ts";
import { sourceOf, WritingView } from "./writer.ts";

/** Options of ending a transaction. */
export interface ChainOptions {
  /** Carry on in a new transaction at once. Default false. */
  chain?: boolean | undefined;
}

/**
 * The result of a function that is not async: `never` for a promise, so that passing an async function
 * is an error of types.
 */
export type Synchronous<T> = T extends PromiseLike<unknown> ? never : T;

/**
 * A transaction, made by `db.transaction()`. What is written in it is seen by reads of the same database
 * object at once, and by others when it has been committed. It may be nested; only the innermost one may
 * be used. When it ends, so do the iterators and cursors that were opened in it.
 *
 * @example With a function: committed when it returns, undone when it throws
 * ```ts
 * import { Lsm } from "@lsmdb/lsm";
 * using db = new Lsm("bank.ldb");
 * db.setMany({ ada: "10", grace: "0" });
 * db.transaction((tx) => {
 *   tx.set("ada", "5");
 *   tx.set("grace", "5");
 * });
 * ```
 * @example With `using`: undone unless committed
 * ```ts
 * import { Lsm } from "@lsmdb/lsm";
 * using db = new Lsm("bank.ldb");
 * {
 *   using tx = db.transaction();
 *   tx.set("ada", "0");
 * }
 * console.log(db.get("ada")); // 5
 * ```
 */
export class Transaction<K, V> extends WritingView<K, V> implements Disposable {
  readonly #view: TransactionView;
  readonly #source: Source<K, V>;

  /** Made by `transaction()`. */
  constructor(view: TransactionView, source: Source<K, V>) {
    super({ ...source, view });
    this.#view = view;
    this.#source = source;
  }

  /** 1 for the outermost, 2 for one inside it, and so on. */
  get depth(): number {
    return this.#view.level.depth;
  }

  /** How it stands. */
  get state(): TransactionState {
    return this.#view.level.state;
  }

  /**
   * Ends it, keeping the changes. In a nested one they count only if the outer one commits too.
   *
   * @param options `chain`: carry on in a new transaction, under this same object.
   */
  commit(options: ChainOptions = {}): void {
    const { connection, level } = this.#view;
    connection.commit(level, chainOption(options), "commit");
  }

  /**
   * Ends it, dropping the changes.
   *
   * @param options `chain`: carry on in the same transaction, which is empty again.
   */
  rollback(options: ChainOptions = {}): void {
    const { connection, level } = this.#view;
    const chain = chainOption(options);
    connection.use("rollback");
    connection.requireInnermost(level, "rollback");
    connection.rollback(level, chain, "rollback");
  }

  /** Opens a transaction inside this one; see `Lsm.transaction`. */
  transaction<T>(fn: (tx: Transaction<K, V>) => Synchronous<T>): T;
  /** Opens a transaction for `using`: undone unless committed. */
  transaction(): Transaction<K, V>;
  transaction<T>(fn?: (tx: Transaction<K, V>) => Synchronous<T>): T | Transaction<K, V> {
    this.#view.use("begin");
    return openTransaction(this.#source, fn);
  }

  /** The same transaction, through the codecs of another object of the same database. */
  on<K2, V2>(target: WritingView<K2, V2>): Transaction<K2, V2> {
    const source = sourceOf(target);
    if (source?.view.connection === this.#view.connection) {
      return new Transaction(this.#view, source);
    }
    throw new TypeError("Expected an object of the same database as the transaction");
  }

  /** Undoes it, unless it has been committed. */
  [Symbol.dispose](): void {
    const { connection, level } = this.#view;
    if (level.state === "open" && connection.isOpen) connection.rollback(level, false, "rollback");
  }
}

/** Begins a transaction, and runs `fn` in it if there is one. */
export function openTransaction<K, V, T>(
  source: Source<K, V>,
  fn?: (tx: Transaction<K, V>) => T,
): T | Transaction<K, V> {
  if (fn !== undefined && typeof fn !== "function") {
    throw new TypeError(`Expected a function, got ${describe(fn)}`);
  }
  const { connection } = source.view;
  const level = connection.begin("begin");
  const tx = new Transaction<K, V>(new TransactionView(connection, level), source);
  return fn === undefined ? tx : finishWith(connection, level, "commit", () => fn(tx));
}

/** The option `chain`, checked. */
export function chainOption(options: ChainOptions): boolean {
  checkOptions(options, ["chain"], "options such as { chain: true }");
  const { chain = false } = options;
  if (typeof chain === "boolean") return chain;
  throw new TypeError(`Option chain must be a boolean, not ${describe(chain)}`);
}
