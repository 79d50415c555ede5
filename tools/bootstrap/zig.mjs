/**
 * Zig, the C compiler for all targets: exactly the version of zig_requirements.txt.
 *
 * Order: a path given in LSM_ZIG; the same version on PATH; the wheel in .cache/zig-<version>. The
 * wheel comes through pip or uv, which check its hash. Where neither is, LSM_ZIG_WHEEL may name a
 * wheel that was fetched by hand; its hash is checked here.
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { inflateRawSync } from "node:zlib";
import { hashOf, isDone, setDone } from "./marker.mjs";
import { CACHE, findOnPath, IS_WINDOWS, ROOT } from "./project.mjs";
import { Failure, outputOf, run } from "./run.mjs";

const REQUIREMENTS = join(ROOT, "tools", "zig_requirements.txt");
const TEXT = readFileSync(REQUIREMENTS, "utf8");
export const ZIG_VERSION = /^ziglang==(\S+)/m.exec(TEXT)[1];
const HOME = join(CACHE, `zig-${ZIG_VERSION}`);
const BINARY = join(HOME, "ziglang", IS_WINDOWS ? "zig.exe" : "zig");

/** Environment of every Zig call: caches inside the project, so that no home folder is needed. */
export function zigEnv() {
  return {
    ZIG_GLOBAL_CACHE_DIR: process.env.ZIG_GLOBAL_CACHE_DIR ?? join(CACHE, "zig-global"),
    ZIG_LOCAL_CACHE_DIR: process.env.ZIG_LOCAL_CACHE_DIR ?? join(CACHE, "zig-local"),
  };
}

/** Returns the absolute path of Zig, installing it where needed. Throws a Failure if it cannot. */
export async function ensureZig() {
  const own = process.env.LSM_ZIG ?? findOnPath("zig");
  if (own && outputOf(own, ["version"]) === ZIG_VERSION) return own;
  if (process.env.LSM_ZIG) throw new Failure(`LSM_ZIG is not Zig ${ZIG_VERSION}: ${own}`);

  const marker = join(HOME, ".done");
  const hash = hashOf([REQUIREMENTS], [process.platform, process.arch]);
  if (isDone(marker, hash) && existsSync(BINARY)) return BINARY;

  const wheel = process.env.LSM_ZIG_WHEEL;
  const installer = wheel ? undefined : findInstaller();
  if (!wheel && !installer) {
    throw new Failure(
      `Zig ${ZIG_VERSION} cannot be installed: neither pip nor uv was found`,
      `install Python with pip; or put Zig ${ZIG_VERSION} on PATH; or set LSM_ZIG_WHEEL to the ` +
        `ziglang ${ZIG_VERSION} wheel of this platform; or set LSM_BUILD=cc to build with cc`,
    );
  }

  console.error(`Installing Zig ${ZIG_VERSION} ...`);
  const fresh = `${HOME}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  if (wheel) unpackWheel(wheel, fresh);
  else await installWheel(installer, fresh);
  rmSync(HOME, { recursive: true, force: true });
  renameSync(fresh, HOME);
  if (!IS_WINDOWS) chmodSync(BINARY, 0o755);
  if (outputOf(BINARY, ["version"]) !== ZIG_VERSION) {
    throw new Failure(
      `The installed Zig does not run: ${BINARY}`,
      "set LSM_BUILD=cc to build with cc",
    );
  }
  setDone(marker, hash);
  return BINARY;
}

async function installWheel(installer, folder) {
  const args = [...installer, "install", "--no-deps", "--only-binary", ":all:", "--require-hashes"];
  if (!installer.includes("uv")) args.push("--no-compile", "--disable-pip-version-check");
  args.push("--quiet", "--target", folder, "-r", REQUIREMENTS);
  const { code, output } = await run(args[0], args.slice(1), { capture: true });
  if (code !== 0) {
    throw new Failure(
      `Zig ${ZIG_VERSION} cannot be installed (code ${code}):\n${output}`,
      "check the network and pip's index setting; or set LSM_BUILD=cc to build with cc",
    );
  }
}

function findInstaller() {
  const candidates = [
    ["python3", "-m", "pip"],
    ["python", "-m", "pip"],
    ["py", "-3", "-m", "pip"],
    ["pip3"],
    ["uv", "pip"],
  ];
  return candidates.find(([program, ...args]) => outputOf(program, [...args, "--version"]));
}

/** Unzips a wheel whose hash is one of the requirement file's. */
function unpackWheel(file, folder) {
  const bytes = readFileSync(file);
  const hash = createHash("sha256").update(bytes).digest("hex");
  if (!TEXT.includes(`sha256:${hash}`)) {
    throw new Failure(`${file} is not a wheel of Zig ${ZIG_VERSION}: its hash is not listed`);
  }
  for (const { name, data } of zipEntries(bytes)) {
    const path = join(folder, ...name.split("/"));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, data);
  }
}

/** Walks the central directory of a zip file; wheels use methods 0 (stored) and 8 (deflate) only. */
function* zipEntries(bytes) {
  let end = bytes.length - 22;
  while (end >= 0 && bytes.readUInt32LE(end) !== 0x06054b50) end--;
  if (end < 0) throw new Failure("The wheel is not a zip file");
  let at = bytes.readUInt32LE(end + 16);
  for (let left = bytes.readUInt16LE(end + 10); left > 0; left--) {
    const method = bytes.readUInt16LE(at + 10);
    const packedSize = bytes.readUInt32LE(at + 20);
    const nameSize = bytes.readUInt16LE(at + 28);
    const extraSize = bytes.readUInt16LE(at + 30);
    const commentSize = bytes.readUInt16LE(at + 32);
    const local = bytes.readUInt32LE(at + 42);
    const name = bytes.toString("utf8", at + 46, at + 46 + nameSize);
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const packed = bytes.subarray(start, start + packedSize);
    if (!name.endsWith("/")) yield { name, data: method === 8 ? inflateRawSync(packed) : packed };
    at += 46 + nameSize + extraSize + commentSize;
  }
}
