/**
 * What the runtime tests share: folders that vanish, filled databases, and a look at errors.
 *
 * @module
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Lsm, LsmError } from "../../mod.ts";
import type { LsmArguments, LsmErrorCode } from "../../mod.ts";

/** A folder of its own for one test; gone at the end of the block. */
export interface Place extends Disposable {
  readonly folder: string;
  /** A path in it. */
  file(name?: string): string;
}

/** Makes a folder for one test. */
export function place(): Place {
  const folder = mkdtempSync(join(tmpdir(), "lsm-test-"));
  return {
    folder,
    file: (name = "test.ldb") => join(folder, name),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A database in a folder of its own; both are gone at the end of the block. */
export interface Opened<K, V> extends Disposable {
  readonly db: Lsm<K, V>;
  readonly at: Place;
}

/** Opens a new database in a folder of its own. */
export function opened<K = string, V = string>(...options: LsmArguments<K, V>): Opened<K, V> {
  const at = place();
  try {
    const db = new Lsm<K, V>(at.file(), ...options);
    return {
      at,
      db,
      [Symbol.dispose]() {
        db.close();
        at[Symbol.dispose]();
      },
    };
  } catch (error) {
    at[Symbol.dispose]();
    throw error;
  }
}

/** Opens a new database whose values are the upper case of its keys. */
export function filled(keys: string): Opened<string, string> {
  const open = opened();
  open.db.setMany(keys.split(" ").map((key) => [key, key.toUpperCase()] as const));
  return open;
}

/** The keys, in the order given, joined with blanks. */
export function keysOf(entries: Iterable<readonly [string, unknown]>): string {
  return Array.from(entries, ([key]) => key).join(" ");
}

/** Runs `fn`, which must throw an `LsmError` of this code, and gives the error. */
export function failure(code: LsmErrorCode, fn: () => unknown): LsmError {
  try {
    fn();
  } catch (error) {
    if (!(error instanceof LsmError)) throw error;
    assert.equal(error.code, code, error.message);
    return error;
  }
  assert.fail(`expected an error with code ${code}`);
}

/** Waits for a promise, which must be rejected with an `LsmError` of this code, and gives the error. */
export async function rejection(code: LsmErrorCode, promise: Promise<unknown>): Promise<LsmError> {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof LsmError)) throw error;
    assert.equal(error.code, code, error.message);
    return error;
  }
  assert.fail(`expected an error with code ${code}`);
}
