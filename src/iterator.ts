/**
 * The iterator users see. Where its items come from is behind `Pull`.
 *
 * @module
 */
import { LsmMisuseError } from "./errors.ts";

/** The source of an iterator's items. */
export interface Pull<T> {
  /** The next item. */
  next(): IteratorResult<T, undefined>;
  /** Lets go of whatever it holds. May be called again. */
  close(): void;
  /** Throws if `next` is not allowed at this time, but may be later. */
  requireReady(): void;
  /** Would `next` read from the engine now, and on behalf of nobody's transaction? */
  isPause(): boolean;
}

/**
 * A lazy sequence, usable once: an `Iterator` of JavaScript, with `map`, `filter`, `take`, `toArray` and
 * the rest. `for await` works as well: it reads the same blocks, and lets other work of the thread in
 * between two of them.
 *
 * It shows the state of the database at the time it was made. Inside a transaction it is live instead: it
 * sees that transaction's writes at keys it has not reached, and ends with it. While a transaction
 * inside that one is open and has written, it throws `LsmMisuseError`, and keeps its place. What it
 * holds is given back when it is exhausted, left with `break`, disposed of, or collected.
 *
 * @example
 * ```ts
 * import { Lsm } from "@lsmdb/lsm";
 * using db = new Lsm("example.ldb");
 * db.setMany({ a: "1", b: "2", c: "3" });
 * const values = db.entries({ gte: "b" }).map(([key, value]) => key + value);
 * console.log(values.toArray()); // [ "b2", "c3" ]
 * for await (const [key] of db.entries()) console.log(key);
 * ```
 */
export class LsmIterator<T> extends Iterator<T, undefined, unknown>
  implements AsyncIterable<T, undefined, unknown>, Disposable {
  readonly #pull: Pull<T>;
  readonly #signal: AbortSignal | undefined;
  #count = 0;
  #isDone = false;
  #isRunning = false;
  #isWaiting = false;

  /** Made by `entries`, `keys`, `values`, `range` and cursors. */
  constructor(pull: Pull<T>, signal?: AbortSignal) {
    super();
    this.#pull = pull;
    this.#signal = signal;
  }

  /** Items given so far. */
  get count(): number {
    return this.#count;
  }

  /** The next item. */
  override next(): IteratorResult<T, undefined> {
    if (this.#isWaiting) {
      throw new LsmMisuseError("Cannot iterate: an asynchronous next is pending", { op: "next" });
    }
    return this.#next();
  }

  #next(): IteratorResult<T, undefined> {
    if (this.#isDone) return { value: undefined, done: true };
    if (this.#isRunning) {
      throw new LsmMisuseError("Cannot iterate: next is running already", { op: "next" });
    }
    this.#pull.requireReady();
    this.#isRunning = true; // a codec of the user's may call back into this iterator
    try {
      const result = this.#pull.next();
      if (result.done) this.#isDone = true;
      else this.#count++;
      return result;
    } catch (error) {
      this.#isDone = true;
      throw error;
    } finally {
      this.#isRunning = false;
      if (this.#isDone) this.#pull.close();
    }
  }

  /** Ends it before its end. */
  override return(): IteratorResult<T, undefined> {
    this.#isDone = true;
    if (!this.#isRunning) this.#pull.close(); // else the item being read still needs what it holds
    return { value: undefined, done: true };
  }

  /** The same, at the end of a block that declares it with `using`. */
  override [Symbol.dispose](): void {
    this.return();
  }

  /** The same sequence for `for await`; both share one position. */
  [Symbol.asyncIterator](): AsyncIterableIterator<T, undefined, unknown> {
    let last: Promise<unknown> = Promise.resolve();
    const next = async (): Promise<IteratorResult<T, undefined>> => {
      if (!this.#isDone && this.#pull.isPause()) await this.#pause();
      return this.#nextUnlessAborted();
    };
    const iterator: AsyncIterableIterator<T, undefined, unknown> = {
      next: () => {
        const result = last.then(next); // in order, also if the caller does not wait
        last = result.catch(() => {});
        return result;
      },
      return: () => Promise.resolve(this.return()),
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  #nextUnlessAborted(): IteratorResult<T, undefined> {
    if (this.#signal?.aborted && !this.#isDone) {
      this.return();
      throw this.#signal.reason;
    }
    return this.#next();
  }

  /** Lets the event loop turn once. */
  async #pause(): Promise<void> {
    this.#isWaiting = true;
    try {
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      this.#isWaiting = false;
    }
  }

  /** `LsmIterator`. */
  override get [Symbol.toStringTag](): string {
    return "LsmIterator";
  }
}
