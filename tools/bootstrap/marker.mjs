/**
 * Done-markers: a file that holds the hash of what an installation was made from. It is written last,
 * so an interrupted installation is done again, and a changed lock file makes a new one.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** The hash of some files' contents, and of words such as the platform. */
export function hashOf(files, words = []) {
  const hash = createHash("sha256");
  for (const file of files) hash.update(readFileSync(file)).update("\0");
  for (const word of words) hash.update(word).update("\0");
  return hash.digest("hex");
}

export function isDone(marker, hash) {
  return existsSync(marker) && readFileSync(marker, "utf8").trim() === hash;
}

export function setDone(marker, hash) {
  mkdirSync(dirname(marker), { recursive: true });
  writeFileSync(marker, `${hash}\n`);
}
