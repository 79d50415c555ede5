/**
 * Removing a database: only what is one, and is not in use. The engine looks, and removes.
 *
 * @module
 */
import { Connection } from "./connection.ts";
import { checkNames } from "./names.ts";
import type { OpeningOptions } from "./options.ts";
import { describe } from "./packed.ts";
import { toPath } from "./path.ts";

/** Options of `Lsm.destroy()`. */
export interface DestroyOptions extends Pick<OpeningOptions, "library"> {}

/** See `Lsm.destroy`. */
export function destroy(path: string | URL, options: DestroyOptions): void {
  const file = toPath(path);
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Options must be an object, not ${describe(options)}`);
  }
  checkNames(options, ["library"]);
  new Connection(file, [], options.library).destroy();
}
