/**
 * Compares what the libraries export with what the headers declare, and the table of ffi/symbols.ts
 * with lsm_bulk.h.
 *
 *     deno run --allow-read tools/check_symbols.ts          the libraries that have been built
 *     deno run --allow-read tools/check_symbols.ts --all    all eight must be there
 *
 * Runs in Deno, Bun and Node alike. It reads ELF, Mach-O and PE itself, as no one machine has the
 * tools for all three.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const HEADERS = ["lsm.h", "lsm_bulk.h"];
const TARGET_COUNT = 8;

/** What linkers add by themselves. */
const OF_THE_LINKER = new Set([
  "__dso_handle",
  "_mh_dylib_header",
  "_init",
  "_fini",
  "_end",
  "_edata",
  "__bss_start",
]);

interface Declaration {
  readonly header: string;
  readonly parameters: readonly string[];
  readonly result: string;
}

interface TableEntry {
  readonly name?: string;
  readonly parameters: readonly string[];
  readonly result: string;
}

async function main(args: readonly string[]): Promise<number> {
  const declared = readHeaders();
  const libraries = builtLibraries();
  const problems = libraries.flatMap((path) => libraryProblems(path, declared));
  if (args.includes("--all") && libraries.length !== TARGET_COUNT) {
    problems.push(`${libraries.length} of ${TARGET_COUNT} libraries are in zig-out/lib`);
  }
  problems.push(...await tableProblems(declared));
  for (const problem of problems) console.error(problem);
  const kinds = `${declared.size} functions, ${libraries.length} libraries`;
  console.log(`${kinds}: ${problems.length === 0 ? "as declared" : `${problems.length} problems`}`);
  return problems.length > 0 ? 1 : 0;
}

// ------------------------------------------------------------------------------------- headers

function readHeaders(): Map<string, Declaration> {
  const declared = new Map<string, Declaration>();
  for (const header of HEADERS) {
    const text = readFileSync(join(ROOT, "csrc", header), "utf8")
      .replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, "")
      .replace(/^\s*#.*$/gm, "");
    for (const match of text.matchAll(/LSM_API\s+([^;]*?)\b(lsm_\w+)\s*\(([^;]*)\)\s*;/g)) {
      const [, result = "", name = "", parameters = ""] = match;
      declared.set(name, {
        header,
        result: neutralType(result),
        parameters: /^\s*(void)?\s*$/.test(parameters)
          ? []
          : parameters.split(",").map(neutralType),
      });
    }
  }
  return declared;
}

/** A C type or parameter in the words of ffi/symbols.ts. */
function neutralType(text: string): string {
  if (text.includes("*")) return "buffer";
  const words = text.replace(/\bconst\b/g, "").trim();
  if (/^uint32_t\b/.test(words)) return "u32";
  if (/^(int32_t|int)\b/.test(words)) return "i32";
  if (/^uint64_t\b/.test(words)) return "u64";
  if (/^(int64_t|lsm_i64)\b/.test(words)) return "i64";
  if (/^double\b/.test(words)) return "f64";
  if (/^void\b/.test(words)) return "void";
  return words;
}

async function tableProblems(declared: ReadonlyMap<string, Declaration>): Promise<string[]> {
  const file = join(ROOT, "ffi", "symbols.ts");
  if (!existsSync(file)) return [];
  const { SYMBOLS } = await import(pathToFileURL(file).href) as {
    SYMBOLS: Record<string, TableEntry>;
  };
  const problems: string[] = [];
  const named = new Set<string>();
  for (const [key, entry] of Object.entries(SYMBOLS)) {
    const name = entry.name ?? key;
    named.add(name);
    const declaration = declared.get(name);
    if (!declaration) {
      problems.push(`ffi/symbols.ts: ${name} is declared in no header`);
      continue;
    }
    const ours = signature(entry.parameters, entry.result);
    const theirs = signature(declaration.parameters, declaration.result);
    if (ours !== theirs) {
      problems.push(`ffi/symbols.ts: ${name} is ${ours}, but ${declaration.header}: ${theirs}`);
    }
  }
  for (const [name, { header }] of declared) {
    if (header === "lsm_bulk.h" && !named.has(name)) {
      problems.push(`ffi/symbols.ts: ${name} of ${header} is missing`);
    }
  }
  return problems;
}

function signature(parameters: readonly string[], result: string): string {
  return `(${parameters.join(", ")}) -> ${result}`;
}

// ------------------------------------------------------------------------------------- libraries

function builtLibraries(): string[] {
  const folder = join(ROOT, "zig-out", "lib");
  if (!existsSync(folder)) return [];
  return readdirSync(folder).sort().flatMap((target) =>
    ["liblsm.so", "liblsm.dylib", "lsm.dll"]
      .map((name) => join(folder, target, name))
      .filter((path) => existsSync(path))
  );
}

function libraryProblems(path: string, declared: ReadonlyMap<string, Declaration>): string[] {
  const exported = new Set(exportsOf(readFileSync(path)));
  const place = path.slice(ROOT.length).replaceAll("\\", "/");
  const missing = [...declared.keys()].filter((name) => !exported.has(name));
  const extra = [...exported].filter((name) => !declared.has(name) && !OF_THE_LINKER.has(name));
  const problems: string[] = [];
  if (missing.length > 0) problems.push(`${place}: does not export ${missing.join(", ")}`);
  if (extra.length > 0) problems.push(`${place}: exports undeclared ${extra.join(", ")}`);
  return problems;
}

function exportsOf(file: Uint8Array): string[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (view.getUint32(0) === 0x7f454c46) return elfExports(file, view);
  if (view.getUint32(0, true) === 0xfeedfacf) return machoExports(file, view);
  if (view.getUint16(0) === 0x4d5a) return peExports(file, view);
  throw new Error("Neither ELF nor Mach-O nor PE");
}

function textAt(file: Uint8Array, offset: number): string {
  return new TextDecoder().decode(file.subarray(offset, file.indexOf(0, offset)));
}

/** Defined global or weak names of .dynsym (ELF64, little-endian). */
function elfExports(file: Uint8Array, view: DataView): string[] {
  const table = Number(view.getBigUint64(0x28, true));
  const entrySize = view.getUint16(0x3a, true);
  const count = view.getUint16(0x3c, true);
  const section = (index: number) => {
    const at = table + index * entrySize;
    return {
      type: view.getUint32(at + 4, true),
      offset: Number(view.getBigUint64(at + 24, true)),
      size: Number(view.getBigUint64(at + 32, true)),
      link: view.getUint32(at + 40, true),
    };
  };
  const names: string[] = [];
  for (let i = 0; i < count; i++) {
    const symbols = section(i);
    if (symbols.type !== 11) continue; // SHT_DYNSYM
    const strings = section(symbols.link).offset;
    for (let at = symbols.offset; at < symbols.offset + symbols.size; at += 24) {
      const isPublic = view.getUint8(at + 4) >> 4 !== 0;
      const isDefined = view.getUint16(at + 6, true) !== 0;
      if (isPublic && isDefined) names.push(textAt(file, strings + view.getUint32(at, true)));
    }
  }
  return names;
}

/** External names defined in a section, from LC_SYMTAB, without their leading underscore. */
function machoExports(file: Uint8Array, view: DataView): string[] {
  const names: string[] = [];
  let at = 32;
  for (let left = view.getUint32(16, true); left > 0; left--) {
    if (view.getUint32(at, true) === 2) { // LC_SYMTAB
      const symbols = view.getUint32(at + 8, true);
      const count = view.getUint32(at + 12, true);
      const strings = view.getUint32(at + 16, true);
      for (let i = 0; i < count; i++) {
        const type = view.getUint8(symbols + i * 16 + 4);
        const isExported = (type & 0x1f) === 0x0f; // N_SECT and N_EXT, not N_PEXT, not for debuggers
        if (!isExported || (type & 0xe0) !== 0) continue;
        const name = textAt(file, strings + view.getUint32(symbols + i * 16, true));
        names.push(name.replace(/^_/, ""));
      }
    }
    at += view.getUint32(at + 4, true);
  }
  return names;
}

/** The names of the export directory (PE32+). */
function peExports(file: Uint8Array, view: DataView): string[] {
  const header = view.getUint32(0x3c, true);
  const optional = header + 24;
  const sections = optional + view.getUint16(header + 20, true);
  const sectionCount = view.getUint16(header + 6, true);
  const fileOffset = (address: number): number => {
    for (let i = 0; i < sectionCount; i++) {
      const at = sections + i * 40;
      const start = view.getUint32(at + 12, true);
      if (address >= start && address < start + view.getUint32(at + 16, true)) {
        return address - start + view.getUint32(at + 20, true);
      }
    }
    throw new Error(`No section holds address ${address}`);
  };
  const directoryAddress = view.getUint32(optional + 112, true);
  if (directoryAddress === 0) return [];
  const directory = fileOffset(directoryAddress);
  const names = fileOffset(view.getUint32(directory + 32, true));
  return Array.from(
    { length: view.getUint32(directory + 24, true) },
    (_, i) => textAt(file, fileOffset(view.getUint32(names + i * 4, true))),
  );
}

process.exitCode = await main(process.argv.slice(2));
