/**
 * Compares the picture of the layers with the truth: who includes whom.
 *
 *     deno run --allow-read tools/include_graph.ts                   the picture, and what breaks it
 *     … --files [folder]                                             every include, file by file
 *     … --check docs/architecture.md                                 the picture in the page agrees
 *     … --write docs/architecture.md (with --allow-write)            puts it there
 *
 * Runs in Deno, Bun and Node alike. Exit code 1 if an include points upward or sideways, if another
 * folder's `_internal.h` is included, or if a runtime's name stands outside its file in ffi/.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

const FLOOR = ["shm", "format", "os", "base"];
const OLD_DATA = ["snapshot", "store", "segment", "pager"];

/** Who may include whom, from the roof to the floor. Every layer may include itself and lsm.h. */
const ALLOWED: Record<string, readonly string[]> = {
  api: ["db", "work", "cursor", "log", "memtree", ...OLD_DATA, ...FLOOR],
  db: ["work", "cursor", "log", "memtree", ...OLD_DATA, ...FLOOR],
  work: ["cursor", "memtree", ...OLD_DATA, ...FLOOR],
  cursor: ["memtree", ...OLD_DATA, ...FLOOR],
  log: FLOOR,
  memtree: FLOOR,
  snapshot: ["store", "segment", "pager", ...FLOOR],
  store: ["segment", "pager", ...FLOOR],
  segment: ["pager", ...FLOOR],
  pager: FLOOR,
  shm: ["format", "os", "base"],
  format: ["base"],
  os: ["base"],
  base: [],
};

/** Public headers and who may include them. */
const PUBLIC_HEADERS: Record<string, readonly string[]> = {
  "lsm.h": Object.keys(ALLOWED),
  "lsm_bulk.h": ["api", "db"],
};

/** The only files that may name a runtime. */
const RUNTIME_FILES = ["ffi/deno.ts", "ffi/bun.ts", "ffi/load.ts"];

const MARK_BEGIN = "<!-- include-graph: made by tools/include_graph.ts -->";
const MARK_END = "<!-- /include-graph -->";

interface Include {
  /** Path below csrc. */
  readonly from: string;
  readonly to: string;
  readonly line: number;
}

function main(args: readonly string[]): number {
  const includes = readIncludes();
  if (args[0] === "--files") {
    printFiles(includes, args[1]);
    return 0;
  }
  const picture = draw(includes);
  if (args[0] === "--write" && args[1]) {
    writeFileSync(args[1], withPicture(readFileSync(args[1], "utf8"), picture));
  } else if (args[0] !== "--check") {
    console.log(picture);
  }
  const problems = [...includeProblems(includes), ...runtimeNameProblems()];
  if (args[0] === "--check" && args[1]) problems.push(...pictureProblems(args[1], picture));
  for (const problem of problems) console.error(problem);
  return problems.length > 0 ? 1 : 0;
}

// ------------------------------------------------------------------------------------- csrc

function listFiles(folder: string, pattern: RegExp): string[] {
  const path = join(ROOT, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true })
    .map((name) => String(name).replaceAll("\\", "/"))
    .filter((name) => pattern.test(name))
    .sort();
}

function layerOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : path;
}

function readIncludes(): Include[] {
  const includes: Include[] = [];
  for (const from of listFiles("csrc", /\.[ch]$/)) {
    const lines = readFileSync(join(ROOT, "csrc", from), "utf8").split("\n");
    lines.forEach((text, index) => {
      const written = /^\s*#\s*include\s*"([^"]+)"/.exec(text)?.[1];
      if (written === undefined) return;
      const beside = from.includes("/") ? `${layerOf(from)}/${written}` : written;
      const isBeside = !written.includes("/") && existsSync(join(ROOT, "csrc", beside));
      includes.push({ from, to: isBeside ? beside : written, line: index + 1 });
    });
  }
  return includes;
}

function includeProblems(includes: readonly Include[]): string[] {
  return includes.flatMap((include) => {
    const problem = includeProblem(include);
    return problem === undefined ? [] : [`csrc/${include.from}:${include.line}: ${problem}`];
  });
}

function includeProblem({ from, to }: Include): string | undefined {
  if (!existsSync(join(ROOT, "csrc", to))) return `"${to}" does not exist below csrc`;
  const [source, target] = [layerOf(from), layerOf(to)];
  if (!from.includes("/")) {
    return from === "lsm_bulk.h" && to === "lsm.h" ? undefined : "a public header stands alone";
  }
  const allowed = ALLOWED[source];
  if (!allowed) return `${source} is no layer; the layers are ${Object.keys(ALLOWED).join(", ")}`;
  if (!to.includes("/")) {
    return PUBLIC_HEADERS[to]?.includes(source) ? undefined : `${source} may not include ${to}`;
  }
  if (source === target) return undefined;
  if (/_internal\.h$/.test(to)) return `"${to}" is internal to ${target}`;
  if (allowed.includes(target)) return undefined;
  const direction = ALLOWED[target]?.includes(source) ? "upward" : "sideways";
  return `"${to}" points ${direction}: ${source} may include ${allowed.join(", ") || "nothing"}`;
}

/** One line per layer that exists, roof first: its files and the layers it really includes. */
function draw(includes: readonly Include[]): string {
  const lines = ["layer     files  includes"];
  for (const layer of Object.keys(ALLOWED)) {
    const files = listFiles(`csrc/${layer}`, /\.[ch]$/);
    if (files.length === 0) continue;
    const targets = new Set(
      includes.filter(({ from }) => layerOf(from) === layer).map(({ to }) => layerOf(to)),
    );
    const real = Object.keys(ALLOWED).filter((name) => name !== layer && targets.has(name));
    lines.push(
      `${layer.padEnd(10)}${String(files.length).padStart(5)}  ${real.join(" ")}`.trimEnd(),
    );
  }
  return lines.join("\n");
}

function printFiles(includes: readonly Include[], folder: string | undefined): void {
  let last = "";
  for (const { from, to } of includes) {
    if (folder !== undefined && layerOf(from) !== folder) continue;
    if (from !== last) console.log(from);
    last = from;
    console.log(`    ${to}`);
  }
}

// ------------------------------------------------------------------------------------- the page

function withPicture(page: string, picture: string): string {
  const [begin, end] = [page.indexOf(MARK_BEGIN), page.indexOf(MARK_END)];
  if (begin < 0 || end < begin) {
    throw new Error(`The page has no lines ${MARK_BEGIN} … ${MARK_END}`);
  }
  const block = `${MARK_BEGIN}\n\n\`\`\`text\n${picture}\n\`\`\`\n\n`;
  return page.slice(0, begin) + block + page.slice(end);
}

function pictureProblems(path: string, picture: string): string[] {
  const page = readFileSync(path, "utf8").replaceAll("\r\n", "\n");
  if (!page.includes(MARK_BEGIN)) return []; // a page without the picture claims nothing
  if (withPicture(page, picture) === page) return [];
  return [`${path}: the picture is out of date; --write ${path} puts the true one there`];
}

// ------------------------------------------------------------------------------------- TypeScript

function runtimeNameProblems(): string[] {
  const files = ["src", "ffi"].flatMap((folder) =>
    listFiles(folder, /\.ts$/).map((name) => `${folder}/${name}`)
  );
  if (existsSync(join(ROOT, "mod.ts"))) files.push("mod.ts");
  return files.filter((file) => !RUNTIME_FILES.includes(file)).flatMap((file) => {
    const code = codeOnly(readFileSync(join(ROOT, file), "utf8"));
    return code.split("\n").flatMap((line, index) => {
      const name = /\bDeno\b|\bBun\b|"bun:\w+"/.exec(line)?.[0];
      return name === undefined
        ? []
        : [`${file}:${index + 1}: ${name} belongs into one of ${RUNTIME_FILES.join(", ")}`];
    });
  });
}

/** The text without comments and without the contents of strings, lines kept; "bun:…" stays. */
function codeOnly(text: string): string {
  const piece =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[\s\S])*`/g;
  return text.replace(piece, (found) => {
    if (/^"bun:\w+"$/.test(found)) return found;
    return found.replace(/[^\n]/g, " ");
  });
}

process.exitCode = main(process.argv.slice(2));
