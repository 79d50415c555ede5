/**
 * Names of platforms, and of the files and packages made for them. Pure.
 *
 * @module
 */
import type { Target } from "./runtime.ts";

const TARGETS: readonly Target[] = [
  "linux-x64-gnu",
  "linux-x64-musl",
  "linux-arm64-gnu",
  "linux-arm64-musl",
  "darwin-x64",
  "darwin-arm64",
  "win32-x64",
  "win32-arm64",
];

/** The target of a machine, in the words of `process.platform` and `process.arch`; or undefined. */
export function targetOf(
  platform: string,
  arch: string,
  libc: "gnu" | "musl",
): Target | undefined {
  const base = `${platform}-${arch}`;
  const name = platform === "linux" ? `${base}-${libc}` : base;
  return TARGETS.find((target) => target === name);
}

/** What the shared library is called on a target. */
export function libraryFileName(target: Target): string {
  if (target.startsWith("win32")) return "lsm.dll";
  return target.startsWith("darwin") ? "liblsm.dylib" : "liblsm.so";
}

/** The npm package that carries the library of a target. */
export function packageName(target: Target): string {
  return `@lsmdb/lsm-${target}`;
}
