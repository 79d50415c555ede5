/**
 * Memory that crosses the wall. Only arrays made here are ever handed to the engine: they are neither
 * shared, resizable nor detached, and no user of the library holds a view of them.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { padded, SIZE_MAX } from "../ffi/frames.ts";

/**
 * A growing piece of memory, seen as bytes, as text and as 32-bit words. Whatever may make it grow
 * (`reserve`, `put`, the `write` of a codec) may replace all three: take them afterwards, not
 * before, and not as an earlier argument of the same call.
 */
export class Memory {
  bytes: Uint8Array<ArrayBuffer>;
  /** The same bytes; `Buffer` has the fastest UTF-8 in both runtimes. */
  text: Buffer<ArrayBuffer>;
  /** The same bytes; frames are little-endian, as is every supported machine. */
  words: Uint32Array<ArrayBuffer>;
  /** Number of bytes: a multiple of 4. */
  size: number;

  constructor(size: number) {
    const buffer = new ArrayBuffer(padded(size));
    this.bytes = new Uint8Array(buffer);
    this.text = Buffer.from(buffer);
    this.words = new Uint32Array(buffer);
    this.size = buffer.byteLength;
  }

  /** Makes room for `more` bytes after the first `used`, which are kept. Throws `RangeError` beyond 2^31-1. */
  reserve(used: number, more: number): void {
    const needed = used + more;
    if (needed > this.size) this.#grow(used, needed);
  }

  #grow(used: number, needed: number): void {
    if (needed > SIZE_MAX - 3) {
      throw new RangeError(`Too large: ${needed} bytes where at most ${SIZE_MAX - 3} are possible`);
    }
    const size = Math.min(Math.max(needed, this.size * 2), SIZE_MAX - 3);
    const larger = takeLarge(size) ?? new Memory(size);
    larger.bytes.set(this.bytes.subarray(0, used));
    this.bytes = larger.bytes;
    this.text = larger.text;
    this.words = larger.words;
    this.size = larger.size;
  }

  /** Copies bytes of ours to the beginning, and gives their number; 0 for `undefined`. */
  put(bytes: Uint8Array | undefined): number {
    if (bytes === undefined) return 0;
    this.reserve(0, bytes.length);
    this.bytes.set(bytes);
    return bytes.length;
  }

  /** A private copy of some bytes. */
  copy(start: number, end: number): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(start, end);
  }
}

/**
 * Scratch larger than this is not kept for the next call; up to the second size, unless it is
 * collected.
 */
const KEPT_SIZE = 1 << 20;
const LARGE_SIZE = 32 << 20;
const KEY_SIZE = 4 << 10;
const VALUE_SIZE = 64 << 10;

/** Scratch of one call: one memory for what goes in first, one for the rest and for the answer. */
export class Scratch {
  key: Memory = new Memory(KEY_SIZE);
  value: Memory = new Memory(VALUE_SIZE);

  shrink(): void {
    if (this.key.size > KEPT_SIZE) this.key = exchanged(this.key, KEY_SIZE);
    if (this.value.size > KEPT_SIZE) this.value = exchanged(this.value, VALUE_SIZE);
  }
}

/**
 * The large scratch given back last: for the next one that grows so far, such as that of the next
 * `setMany`.
 */
let large: WeakRef<Memory> | undefined;

/** Gives back large scratch, for a small one. */
function exchanged(memory: Memory, size: number): Memory {
  if (memory.size <= LARGE_SIZE) large = new WeakRef(memory);
  return new Memory(size);
}

/** Takes the large scratch, if it is there and large enough for `size` bytes. */
function takeLarge(size: number): Memory | undefined {
  if (size <= KEPT_SIZE) return undefined;
  const memory = large?.deref();
  if (memory === undefined || memory.size < size) return undefined;
  large = undefined;
  return memory;
}

/**
 * A stack, because a codec of the user's may call the database again while the call it serves has its
 * key in the scratch already.
 */
const stack: Scratch[] = [];
let depth = 0;

/** Takes the next scratch. Give it back with {@link leaveScratch} in a `finally`. */
export function enterScratch(): Scratch {
  const scratch = stack[depth] ?? (stack[depth] = new Scratch());
  depth++;
  return scratch;
}

/** Gives back the scratch taken last. */
export function leaveScratch(scratch: Scratch): void {
  depth--;
  if (scratch.key.size > KEPT_SIZE || scratch.value.size > KEPT_SIZE) scratch.shrink();
}

/** Sizes a scan's block grows through: short ranges are cheap, long ones need few calls. */
export const BLOCK_SIZES = [4 << 10, 32 << 10, 256 << 10] as const;
const POOL_LIMITS = [32, 8, 4] as const;
const pools: [Memory[], Memory[], Memory[]] = [[], [], []];

/** Takes a block of the given step of {@link BLOCK_SIZES}. */
export function takeBlock(step: 0 | 1 | 2): Memory {
  return pools[step].pop() ?? new Memory(BLOCK_SIZES[step]);
}

/** Gives a block back for others; a block of unusual size is let go. */
export function giveBlock(block: Memory): void {
  const step = BLOCK_SIZES.findIndex((size) => size === block.size);
  const pool = pools[step];
  const limit = POOL_LIMITS[step];
  if (pool !== undefined && limit !== undefined && pool.length < limit) pool.push(block);
}
