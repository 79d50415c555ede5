/**
 * Paths as users give them.
 *
 * @module
 */
import { isAbsolute, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { describe } from "./packed.ts";

/**
 * The absolute path of a file, so that it stays the same file when the working directory changes.
 * Throws `TypeError` for what cannot be a path.
 */
export function toPath(path: string | URL): string {
  const text = path instanceof URL ? fileURLToPath(path) : path;
  if (typeof text !== "string") {
    throw new TypeError(`A path is text or a URL, not ${describe(path)}`);
  }
  if (text === "") throw new TypeError("A path must not be empty");
  if (text.includes("\0") || !text.isWellFormed()) {
    throw new TypeError(`Not a path: ${JSON.stringify(text)}`);
  }
  // On Windows the system takes paths apart as `resolve` does. Elsewhere `..` behind a symbolic
  // link is the link's business, and stays. Deno asks no permission for the working directory.
  if (process.platform === "win32") return resolve(text);
  return tidied(isAbsolute(text) ? text : `${process.cwd()}/${text}`);
}

/**
 * The same path without its empty parts and `.`; a `/` at its end says that it must be a folder,
 * and stays.
 */
function tidied(path: string): string {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  const isFolder = /\/\.?$/.test(path) && parts.length > 0;
  return `/${parts.join("/")}${isFolder ? "/" : ""}`;
}
