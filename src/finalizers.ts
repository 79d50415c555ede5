/**
 * Closes what was forgotten. A help for programs that leak, not the way to close: engines run finalisers
 * late or never. What is held here is the bare handle, so that nothing is kept alive.
 *
 * @module
 */
import { load } from "../ffi/load.ts";
import type { Handle } from "../ffi/native.ts";
import { Memory } from "./memory.ts";

const forgotten: FinalizationRegistry<Handle> = new FinalizationRegistry((handle) => {
  load().native.end(handle);
});

const forgottenDatabases: FinalizationRegistry<Handle> = new FinalizationRegistry((handle) => {
  const error = new Memory(64);
  load().native.close(handle, error.bytes, error.size);
});

/** Ends a scan, cursor or snapshot when `owner` is collected. */
export function endWhenForgotten(owner: object, handle: Handle): void {
  forgotten.register(owner, handle, owner);
}

/** Closes a database when `owner` is collected. */
export function closeWhenForgotten(owner: object, handle: Handle): void {
  forgottenDatabases.register(owner, handle, owner);
}

/** `owner` has been closed properly. */
export function remembered(owner: object): void {
  forgotten.unregister(owner);
  forgottenDatabases.unregister(owner);
}
