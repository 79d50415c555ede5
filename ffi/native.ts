/**
 * The C interface as the rest of the library sees it: one method per entry point of
 * `csrc/lsm_bulk.h`, without the prefix `lsm_bulk_`.
 *
 * Meaning, results and limits of each are written in that header and only there. What this side adds:
 *
 * - Every argument is a 32-bit integer or a `Uint8Array` followed by the number of its bytes that
 *   count. Callers check integers beforehand: Deno refuses a wrong one, Bun bends it silently.
 * - Arrays passed here are made by `src/memory.ts`; no array of a user ever crosses. So they are neither
 *   shared, resizable nor detached, and their length is what it seems to be.
 * - C keeps no reference to them after a call has returned.
 *
 * @module
 */

/** A live object of the engine: slot and generation in 32 bits; 0 is none. */
export type Handle = number;

/** A result: zero or more with the meaning of the call, or one of the negative codes in `frames.ts`. */
export type Result = number;

/** Every entry point of `lsm_bulk.h`. */
export interface Native {
  abi(): number;
  create(): Handle;
  config(db: Handle, verb: number, value: number): Result;
  open(db: Handle, path: Uint8Array, pathSize: number): Result;
  destroy(db: Handle, path: Uint8Array, pathSize: number): Result;
  close(db: Handle, error: Uint8Array, capacity: number): Result;
  error(handle: Handle, out: Uint8Array, capacity: number): Result;
  pending(handle: Handle, out: Uint8Array, capacity: number): Result;
  take(handle: Handle, offset: number, out: Uint8Array, capacity: number): Result;

  get(view: Handle, key: Uint8Array, keySize: number, out: Uint8Array, capacity: number): Result;
  has(view: Handle, key: Uint8Array, keySize: number): Result;
  getMany(
    view: Handle,
    flags: number,
    count: number,
    keys: Uint8Array,
    keysSize: number,
    out: Uint8Array,
    capacity: number,
  ): Result;
  seek(
    view: Handle,
    mode: number,
    key: Uint8Array,
    keySize: number,
    out: Uint8Array,
    capacity: number,
  ): Result;

  put(
    db: Handle,
    key: Uint8Array,
    keySize: number,
    value: Uint8Array,
    valueSize: number,
  ): Result;
  delete(db: Handle, flags: number, key: Uint8Array, keySize: number): Result;
  apply(db: Handle, count: number, ops: Uint8Array, opsSize: number): Result;
  add(
    db: Handle,
    key: Uint8Array,
    keySize: number,
    byLow: number,
    byHigh: number,
    out: Uint8Array,
    capacity: number,
  ): Result;

  begin(db: Handle, level: number): Result;
  commit(db: Handle, level: number): Result;
  rollback(db: Handle, level: number): Result;
  depth(db: Handle): Result;

  snapshot(db: Handle): Handle;
  end(handle: Handle): Result;

  scan(
    view: Handle,
    flags: number,
    limit: number,
    lower: Uint8Array,
    lowerSize: number,
    upper: Uint8Array,
    upperSize: number,
    out: Uint8Array,
    capacity: number,
  ): Handle;
  scanNext(scan: Handle, out: Uint8Array, capacity: number): Result;
  count(
    view: Handle,
    flags: number,
    limit: number,
    lower: Uint8Array,
    lowerSize: number,
    upper: Uint8Array,
    upperSize: number,
    out: Uint8Array,
    capacity: number,
  ): Result;

  cursor(view: Handle): Handle;
  cursorSeek(
    cursor: Handle,
    mode: number,
    key: Uint8Array,
    keySize: number,
    out: Uint8Array,
    capacity: number,
  ): Result;
  cursorMove(cursor: Handle, move: number, out: Uint8Array, capacity: number): Result;

  flush(db: Handle): Result;
  work(db: Handle, merge: number, kb: number): Result;
  checkpoint(db: Handle): Result;
  userVersion(db: Handle, out: Uint8Array, capacity: number): Result;
  setUserVersion(db: Handle, version: number): Result;
  info(
    db: Handle,
    verb: number,
    pageLow: number,
    pageHigh: number,
    out: Uint8Array,
    capacity: number,
  ): Result;
  stats(db: Handle, out: Uint8Array, capacity: number): Result;
  verify(db: Handle): Handle;
  verifyReport(verify: Handle, out: Uint8Array, capacity: number): Result;
  backup(db: Handle, path: Uint8Array, pathSize: number, flags: number): Handle;
  backupStep(backup: Handle, kb: number, out: Uint8Array, capacity: number): Result;
  run(task: Handle): Result;
  wait(task: Handle, milliseconds: number, out: Uint8Array, capacity: number): Result;
  shutdown(): void;
}
