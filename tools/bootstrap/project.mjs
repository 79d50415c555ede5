/**
 * Where things are: the project's folders and the name of this machine's target.
 *
 * Plain JavaScript on `node:` modules, like everything in this folder: it runs under Node, Deno or
 * Bun before anything is installed.
 */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url)).replace(/[\\/]$/, "");
/** Everything that can be thrown away and made again, except zig-out and node_modules. */
export const CACHE = join(ROOT, ".cache");
export const IS_WINDOWS = process.platform === "win32";

/** The eight targets; `build.zig` and `ffi/library.ts` use the same names. */
export const TARGETS = [
  "linux-x64-gnu",
  "linux-arm64-gnu",
  "linux-x64-musl",
  "linux-arm64-musl",
  "darwin-x64",
  "darwin-arm64",
  "win32-x64",
  "win32-arm64",
];

/** The name of this machine's target, such as `linux-x64-gnu`. */
export function hostTarget() {
  const base = `${process.platform}-${process.arch}`;
  const name = process.platform === "linux" ? `${base}-${hostLibc()}` : base;
  if (!TARGETS.includes(name)) throw new Error(`No build for this machine: ${name}`);
  return name;
}

/** `gnu` or `musl`: the C library of the runtime this script runs in. */
export function hostLibc() {
  if (globalThis.Deno) return "gnu"; // Deno exists for glibc only
  return existsSync("/etc/alpine-release") || reportsNoGlibc() ? "musl" : "gnu";
}

function reportsNoGlibc() {
  if (!process.report) return false;
  process.report.excludeNetwork = true; // name look-ups can take seconds
  return process.report.getReport().header.glibcVersionRuntime === undefined;
}

export function libraryFileName(target) {
  if (target.startsWith("win32")) return "lsm.dll";
  return target.startsWith("darwin") ? "liblsm.dylib" : "liblsm.so";
}

/** Where a build puts the library of a target, and where `ffi/library.ts` looks for it. */
export function libraryPath(target) {
  return join(ROOT, "zig-out", "lib", target, libraryFileName(target));
}

/**
 * Finds a program of the person's own on PATH, or undefined. Folders of npm's making do not count:
 * what stands there is a wrapper, or whatever version `npx` brought along.
 */
export function findOnPath(name) {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    if (folder === "" || /node_modules|_npx/.test(folder)) continue;
    const file = join(folder, IS_WINDOWS ? `${name}.exe` : name);
    if (existsSync(file)) return file;
  }
  return undefined;
}
