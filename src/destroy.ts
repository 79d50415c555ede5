/**
 * Removing a database: only what is one, and is not in use. The engine looks, and removes.
 *
 * @module
 */
import { Connection } from "./connection.ts";
import { checkOptions } from "./names.ts";
import type { OpeningOptions } from "./options.ts";
import { toPath } from "./path.ts";

/** Options of `Lsm.destroy()`. */
export interface DestroyOptions extends Pick<OpeningOptions, "library"> {}

/** See `Lsm.destroy`. */
export function destroy(path: string | URL, options: DestroyOptions): void {
  const file = toPath(path);
  checkOptions(options, ["library"]);
  new Connection(file, [], options.library).destroy();
}
