/**
 * Reading a range, a block of records per native call.
 *
 * The first block is small and comes with the call that starts the scan: a range that ends within it takes
 * one call, and holds nothing of the engine's. Later blocks are larger.
 *
 * A scan outside a transaction reads a frozen state. Inside one it is live, and so a block read before a
 * write shows too old a state after it: the scan then starts anew behind the last key it gave, with
 * a small block, as the next write may be near.
 *
 * @module
 */
import {
  BLOCK_HEAD_SIZE,
  FLAG,
  padded,
  RECORD_HEAD_SIZE,
  RESULT,
  SCAN_ENDED,
} from "../ffi/frames.ts";
import type { Handle } from "../ffi/native.ts";
import type { Level } from "./connection.ts";
import { LsmClosedError } from "./errors.ts";
import { cannot, closedError } from "./failure.ts";
import { endChild, endWhenForgotten, remembered } from "./finalizers.ts";
import type { Pull } from "./iterator.ts";
import { BLOCK_SIZES, enterScratch, giveBlock, leaveScratch, takeBlock } from "./memory.ts";
import type { Memory } from "./memory.ts";
import { after, boundFlags, nativeLimit } from "./range.ts";
import type { Bounds } from "./range.ts";
import { readKey, readValue } from "./source.ts";
import type { Source } from "./source.ts";

/** What a scan gives. */
export type Wanted = "entries" | "keys" | "values";

const DONE: IteratorReturnResult<undefined> = Object.freeze({ value: undefined, done: true });

/** The records of a range, one after the other. */
export class Scan<K, V, T> implements Pull<T> {
  readonly #source: Source<K, V>;
  readonly #wanted: Wanted;
  readonly #op: string;
  /** The transaction it belongs to; undefined: it is frozen. */
  readonly #level: Level | undefined;
  readonly #epoch: number;

  /** What is still to come, as of when the handle was made. */
  #bounds: Bounds;
  #handle: Handle = 0;
  /** The handle it was made from; another one means that the database was closed and opened again. */
  #parent: Handle = 0;
  #isRegistered = false;
  #hasEnded = false;
  /** The connection's count of changes when the block was read. */
  #changes = 0;

  #block: Memory | undefined;
  #step: 0 | 1 | 2 = 0;
  /** Records in the block not given yet, and where the next one is. */
  #left = 0;
  #at = 0;
  /** The record given last, if it came out of this block; else -1. */
  #last = -1;
  #given = 0;

  constructor(source: Source<K, V>, bounds: Bounds, wanted: Wanted) {
    this.#source = source;
    this.#bounds = bounds;
    this.#wanted = wanted;
    this.#op = wanted;
    const { view } = source;
    this.#level = view.isFrozen ? undefined : view.connection.level;
    this.#epoch = this.#level?.epoch ?? 0;
    if (bounds.empty) {
      this.#parent = view.use(this.#op); // to be closed is an error all the same
      this.#hasEnded = true;
    } else {
      this.#start();
    }
  }

  next(): IteratorResult<T, undefined> {
    if (this.#level !== undefined) this.#keepUp(this.#level);
    else this.#requireOpen();
    if (this.#left === 0) {
      if (this.#hasEnded) return DONE;
      this.#read();
      if (this.#left === 0) return DONE;
    }
    const block = this.#block as Memory; // there is one while records are left
    const at = this.#at;
    const keySize = block.words[at >> 2] as number;
    const valueSize = block.words[(at >> 2) + 1] as number;
    const start = at + RECORD_HEAD_SIZE;
    const middle = start + keySize;
    const end = middle + valueSize;
    this.#last = at;
    this.#at = padded(end);
    this.#left--;
    this.#given++;
    const value = this.#item(block, start, middle, end);
    // Nobody may ever ask for the end: `for (...) break`, or a limit that is known to be reached.
    if (this.#left === 0 && this.#hasEnded && this.#level === undefined) this.#drop();
    return { value, done: false };
  }

  #item(block: Memory, start: number, middle: number, end: number): T {
    const source = this.#source;
    const op = this.#op;
    switch (this.#wanted) {
      case "keys":
        return readKey(source, op, block, start, middle) as unknown as T;
      case "values":
        return readValue(source, op, block, middle, end, undefined) as unknown as T;
      case "entries": {
        const key = readKey(source, op, block, start, middle);
        return [key, readValue(source, op, block, middle, end, key)] as unknown as T;
      }
    }
  }

  /** A live scan that has to start anew can do so only in the innermost transaction. */
  requireReady(): void {
    const level = this.#level;
    const { view } = this.#source;
    if (level === undefined || this.#changes === view.connection.changes) return;
    if (level.state === "open" && level.epoch === this.#epoch) view.use(this.#op);
  }

  isPause(): boolean {
    return this.#left === 0 && !this.#hasEnded && this.#level === undefined;
  }

  close(): void {
    this.#end();
    this.#hasEnded = true;
    this.#left = 0;
    this.#drop();
  }

  /** Gives back the block. */
  #drop(): void {
    if (this.#block === undefined) return;
    giveBlock(this.#block);
    this.#block = undefined;
  }

  /** Starts with what is still to come, and reads its first block. */
  #start(): void {
    const bounds = this.#bounds;
    const { view } = this.#source;
    const { connection } = view;
    const scratch = enterScratch();
    try {
      const { key, value } = scratch;
      const lowerSize = key.put(bounds.lower);
      const upperSize = value.put(bounds.upper);
      const parent = view.use(this.#op);
      const block = this.#nextBlock();
      const handle = connection.native.scan(
        parent,
        boundFlags(bounds) | this.#flags(),
        nativeLimit(bounds.limit),
        key.bytes,
        lowerSize,
        value.bytes,
        upperSize,
        block.bytes,
        block.size,
      );
      if (handle === 0) throw connection.failedToMake(this.#op, parent);
      this.#parent = parent;
      if (handle !== SCAN_ENDED) this.#handle = handle;
    } catch (error) {
      this.#drop();
      throw error;
    } finally {
      leaveScratch(scratch);
    }
    this.#changes = connection.changes;
    this.#arrive();
    if (this.#left === 0 && !this.#hasEnded) this.#read(); // its first record is a large one
  }

  #flags(): number {
    const order = this.#bounds.reverse ? FLAG.REVERSE : 0;
    if (this.#wanted === "keys") return order | FLAG.KEYS_ONLY;
    // A live scan needs the keys, to find its place again.
    const valuesOnly = this.#wanted === "values" && this.#level === undefined;
    return valuesOnly ? order | FLAG.VALUES_ONLY : order;
  }

  /** Reads the next block. */
  #read(): void {
    const { connection } = this.#source.view;
    try {
      const block = this.#nextBlock();
      const result = connection.native.scanNext(this.#handle, block.bytes, block.size);
      if (result === RESULT.TOO_SMALL) {
        // One record larger than the block, which makes a block of its own.
        this.#use(connection.take(this.#op, this.#handle).memory);
      } else {
        connection.check(result, this.#op, this.#handle);
      }
    } catch (error) {
      this.close();
      throw error;
    }
    this.#arrive();
    if (this.#left === 0) this.#hasEnded = true;
    if (this.#hasEnded) this.#end();
  }

  /** Takes in the block that has been read. */
  #arrive(): void {
    const { words } = this.#block as Memory;
    this.#left = words[0] as number;
    this.#hasEnded = words[1] === 1;
    this.#at = BLOCK_HEAD_SIZE;
    this.#last = -1;
    if (this.#hasEnded || this.#isRegistered) return;
    this.#isRegistered = true;
    endWhenForgotten(this, this.#handle, this.#source.view.children);
  }

  /** The block to read into: of the next larger size each time. */
  #nextBlock(): Memory {
    const block = this.#block;
    if (this.#last >= 0 && this.#step < 2) this.#step++;
    if (block?.size === BLOCK_SIZES[this.#step]) return block;
    return this.#use(takeBlock(this.#step));
  }

  #use(block: Memory): Memory {
    if (this.#block !== undefined) giveBlock(this.#block);
    return this.#block = block;
  }

  /** Gives back the handle. */
  #end(): void {
    if (this.#handle === 0) return;
    const handle = this.#handle;
    this.#handle = 0;
    const { connection, children } = this.#source.view;
    const siblings = this.#isRegistered ? children : undefined;
    if (this.#isRegistered) {
      this.#isRegistered = false;
      remembered(this);
    }
    endChild(connection.native, { handle, siblings });
  }

  #requireOpen(): void {
    const { view } = this.#source;
    if (view.use(this.#op) === this.#parent) return;
    throw closedError({ op: this.#op, path: view.connection.path }, "the iterator");
  }

  /** Starts anew if something was written since the block was read. */
  #keepUp(level: Level): void {
    const { connection } = this.#source.view;
    if (this.#changes === connection.changes) return;
    if (level.state !== "open" || level.epoch !== this.#epoch) {
      const doing = { op: this.#op, path: connection.path };
      throw new LsmClosedError(`${cannot(doing)}: the iterator ended with its transaction`, doing);
    }
    const block = this.#block;
    if (block === undefined) return; // the range is empty
    this.#end();
    if (this.#last >= 0) {
      const start = this.#last + RECORD_HEAD_SIZE;
      const key = block.copy(start, start + (block.words[this.#last >> 2] as number));
      this.#bounds = after(this.#bounds, key, this.#bounds.limit - this.#given);
      this.#given = 0;
      this.#last = -1;
    }
    this.#left = 0;
    this.#step = 0;
    this.#hasEnded = this.#bounds.empty;
    if (!this.#hasEnded) this.#start();
  }
}
