/**
 * Makes ready what a command needs, under the lock of this tree.
 *
 * Nothing is fetched that is there already; in a tree that is up to date this takes a few
 * milliseconds, and the time of a build that finds nothing to do.
 */
import { ensureLibrary } from "./build.mjs";
import { ensureLibraries } from "./libraries.mjs";
import { withLock } from "./lock.mjs";
import { ensureRuntimes } from "./runtimes.mjs";

/**
 * @param {{ libraries?: boolean, runtimes?: boolean, library?: boolean }} needs
 * @returns {Promise<{ deno?: string, bun?: string, library?: string }>} Absolute paths.
 */
export function ensureReady(needs) {
  return withLock(async () => {
    if (needs.libraries) await ensureLibraries();
    const runtimes = needs.runtimes ? await ensureRuntimes() : {};
    const library = needs.library ? await ensureLibrary() : undefined;
    return { ...runtimes, library };
  });
}
