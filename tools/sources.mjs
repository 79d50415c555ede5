/**
 * Keeps csrc/sources.zon equal to the .c files on disk.
 *
 *     node tools/sources.mjs            checks, exit 1 if they differ
 *     node tools/sources.mjs --write    lists the files anew
 */
import { writeFileSync } from "node:fs";
import process from "node:process";
import { sourceListProblems, SOURCES_FILE, sourcesOnDisk } from "./bootstrap/sources.mjs";

if (process.argv.includes("--write")) {
  const lines = sourcesOnDisk().map((path) => `    "${path}",\n`);
  const head =
    "// Every C source, in layer order: read by build.zig and tools/bootstrap/sources.mjs.\n";
  writeFileSync(
    SOURCES_FILE,
    `${head}// Made anew by: node tools/sources.mjs --write\n.{\n${lines.join("")}}\n`,
  );
} else {
  for (const problem of sourceListProblems()) {
    console.error(`csrc/sources.zon: ${problem}`);
    process.exitCode = 1;
  }
}
