/** The list of C sources: csrc/sources.zon, and what is on disk in layer order. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./project.mjs";

export const SOURCES_FILE = join(ROOT, "csrc", "sources.zon");

/** The folders of csrc from the floor to the roof; `tools/include_graph.ts` says who may see whom. */
export const LAYERS = [
  "base",
  "os",
  "format",
  "shm",
  "pager",
  "segment",
  "store",
  "snapshot",
  "memtree",
  "log",
  "cursor",
  "work",
  "db",
  "api",
];

/** The list of csrc/sources.zon: `.{ "base/varint.c", ... }`. */
export function listedSources() {
  const text = readFileSync(SOURCES_FILE, "utf8").replace(/\/\/.*$/gm, "");
  return [...text.matchAll(/"([^"]+)"/g)].map((match) => match[1]);
}

/** The .c files on disk, in layer order, by name within a layer. */
export function sourcesOnDisk() {
  const files = readdirSync(join(ROOT, "csrc"), { recursive: true })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith(".c"));
  const rank = (path) => {
    const index = LAYERS.indexOf(path.split("/")[0]);
    return index < 0 ? LAYERS.length : index;
  };
  return files.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/** Those of a list that one system compiles: os_posix_* not on Windows, os_win32_* nowhere else. */
export function sourcesFor(platform, list) {
  const foreign = platform === "win32" ? "/os_posix" : "/os_win32";
  return list.filter((path) => !path.includes(foreign));
}

/** What is wrong with the list; empty if it names every file on disk once, in layer order. */
export function sourceListProblems() {
  if (!existsSync(SOURCES_FILE)) return ["the file is missing"];
  const listed = listedSources();
  const onDisk = sourcesOnDisk();
  const problems = [];
  for (const path of onDisk) if (!listed.includes(path)) problems.push(`${path} is not listed`);
  for (const path of listed) if (!onDisk.includes(path)) problems.push(`${path} is not on disk`);
  if (new Set(listed).size !== listed.length) problems.push("a file is listed twice");
  const ranks = listed.map((path) => LAYERS.indexOf(path.split("/")[0]));
  ranks.forEach((rank, i) => {
    if (rank < 0) problems.push(`${listed[i]} is in no layer`);
    else if (i > 0 && rank < ranks[i - 1]) {
      problems.push(`${listed[i]} stands after a higher layer`);
    }
  });
  return problems;
}
