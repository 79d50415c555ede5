/**
 * Paths as users give them. Pure.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { describe } from "./packed.ts";

/** The path of a file, as text. Throws `TypeError` for what cannot be one. */
export function toPath(path: string | URL): string {
  const text = path instanceof URL ? fileURLToPath(path) : path;
  if (typeof text !== "string") {
    throw new TypeError(`A path is text or a URL, not ${describe(path)}`);
  }
  if (text === "") throw new TypeError("A path must not be empty");
  if (text.includes("\0") || !text.isWellFormed()) {
    throw new TypeError(`Not a path: ${JSON.stringify(text)}`);
  }
  return text;
}
