/**
 * Closes what was forgotten. A help for programs that leak, not the way to close: engines run finalisers
 * late or never. What is held here is the bare handle, so that nothing is kept alive.
 *
 * @module
 */
import { load } from "../ffi/load.ts";
import type { Handle, Native } from "../ffi/native.ts";
import { Memory } from "./memory.ts";

/** A handle, and the handles that end with the same snapshot, if it is of one. */
interface Child {
  readonly handle: Handle;
  readonly siblings: Set<Handle> | undefined;
}

const forgotten: FinalizationRegistry<Child> = new FinalizationRegistry((child) => {
  endChild(load().native, child);
});

const forgottenDatabases: FinalizationRegistry<Handle> = new FinalizationRegistry((handle) => {
  const error = new Memory(64);
  load().native.close(handle, error.bytes, error.size);
});

/**
 * Ends a scan, cursor or snapshot when `owner` is collected. `siblings` gets its handle, for as
 * long as that is in use: the numbers of handles come again in the end.
 */
export function endWhenForgotten(owner: object, handle: Handle, siblings?: Set<Handle>): void {
  siblings?.add(handle);
  forgotten.register(owner, { handle, siblings }, owner);
}

/** Ends a handle, unless its snapshot has done so already. */
export function endChild(native: Native, { handle, siblings }: Child): void {
  if (siblings === undefined || siblings.delete(handle)) native.end(handle);
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
