/**
 * The Deno and the Bun that run the project's programs.
 *
 * Order: a path given in LSM_DENO / LSM_BUN; a new enough one on PATH (not with CI set, where the
 * pinned ones are used always); the pinned one of tools/runtimes, called inside its platform package.
 * npm's `.bin` is never used: inside a task it would be taken for a script.
 */
import { chmodSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { installPackages } from "./packages.mjs";
import { findOnPath, hostLibc, IS_WINDOWS, ROOT } from "./project.mjs";
import { Failure, outputOf } from "./run.mjs";

const FOLDER = join(ROOT, "tools", "runtimes");
/** Smallest versions of a person's own runtimes; package.json's `engines` says the same. */
const MINIMUM = { deno: [2, 9, 0], bun: [1, 4, 0] };

/** Returns absolute paths of both runtimes, installing the pinned ones where needed. */
export async function ensureRuntimes() {
  const found = { deno: ownRuntime("deno"), bun: ownRuntime("bun") };
  if (!found.deno || !found.bun) {
    await installPackages(FOLDER, "the pinned Deno and Bun");
    found.deno ??= pinned("deno", denoPackage());
    found.bun ??= pinned("bun", bunPackage());
  }
  return found;
}

function ownRuntime(name) {
  const given = process.env[`LSM_${name.toUpperCase()}`];
  if (given) {
    if (existsSync(given)) return given;
    throw new Failure(`LSM_${name.toUpperCase()} names no file: ${given}`);
  }
  if (process.env.CI) return undefined;
  const file = findOnPath(name);
  return file && isNewEnough(outputOf(file, ["--version"]), MINIMUM[name]) ? file : undefined;
}

function isNewEnough(text, minimum) {
  const version = /(\d+)\.(\d+)\.(\d+)/.exec(text ?? "")?.slice(1).map(Number);
  if (!version) return false;
  for (let i = 0; i < 3; i++) {
    if (version[i] !== minimum[i]) return version[i] > minimum[i];
  }
  return true;
}

function pinned(name, inside) {
  const file = findInstalled(inside);
  if (!file) {
    throw new Failure(
      `The pinned ${name} is not in tools/runtimes/node_modules: ${inside}`,
      `remove that folder and try again, or set LSM_${name.toUpperCase()} to a ${name}`,
    );
  }
  if (!IS_WINDOWS) chmodSync(file, 0o755);
  return file;
}

/** npm and Bun put every package at the top; Deno keeps indirect ones in folders below `.deno`. */
function findInstalled(inside) {
  const modules = join(FOLDER, "node_modules");
  const path = inside.split("/");
  const file = join(modules, ...path);
  if (existsSync(file)) return file;
  const store = join(modules, ".deno");
  if (!existsSync(store)) return undefined;
  const prefix = `${path[0]}+${path[1]}@`;
  const folder = readdirSync(store).find((name) => name.startsWith(prefix));
  const stored = folder && join(store, folder, "node_modules", ...path);
  return stored && existsSync(stored) ? stored : undefined;
}

function denoPackage() {
  const libc = process.platform === "linux" ? "-glibc" : "";
  const file = IS_WINDOWS ? "deno.exe" : "deno";
  return `@deno/${process.platform}-${process.arch}${libc}/${file}`;
}

function bunPackage() {
  const system = IS_WINDOWS ? "windows" : process.platform;
  const processor = process.arch === "arm64" ? "aarch64" : process.arch;
  const libc = process.platform === "linux" && hostLibc() === "musl" ? "-musl" : "";
  return `@oven/bun-${system}-${processor}${libc}/bin/${IS_WINDOWS ? "bun.exe" : "bun"}`;
}
