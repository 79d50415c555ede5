/**
 * The published LSM1 (Python's lsm-db, compiled wheel) as a witness, and the independent reader `lsmdump.py` as an
 * oracle. The package is installed into the project's cache by hash, never globally.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "..", "..");
const PYTHON = process.platform === "win32" ? "python" : "python3";

function python(
  args: readonly string[],
): { status: number | null; stdout: string; stderr: string } {
  const result = spawnSync(PYTHON, [...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  return { status: result.status, stdout: result.stdout ?? "", stderr: result.stderr ?? "" };
}

/** The folder with the package for this Python; installs it the first time. `undefined`: not to be had here. */
export function witnessPackage(): string | undefined {
  const version = python(["-c", "import sys; print('%d%d' % sys.version_info[:2])"]);
  if (version.status !== 0) return undefined;
  const target = join(ROOT, ".cache", `lsm-db-0.7.3-py${version.stdout.trim()}`);
  if (existsSync(target)) return target;
  mkdirSync(join(ROOT, ".cache"), { recursive: true });
  const fresh = mkdtempSync(`${target}-`);
  const requirements = join(HERE, "python", "requirements.txt");
  const pip = ["-m", "pip", "install", "--quiet", "--no-compile", "--no-deps"];
  const pinned = [
    "--only-binary",
    ":all:",
    "--require-hashes",
    "--target",
    fresh,
    "-r",
    requirements,
  ];
  if (python([...pip, ...pinned]).status !== 0) {
    rmSync(fresh, { recursive: true, force: true });
    return undefined;
  }
  try {
    renameSync(fresh, target);
  } catch {
    rmSync(fresh, { recursive: true, force: true }); // another run was first
  }
  return existsSync(target) ? target : undefined;
}

/** One answer of the witness. */
export interface Answer {
  count: number;
  hash: string;
  reverse: string;
  values: (string | null)[];
  error?: string;
}

/** A running Python process that answers questions about database files. */
export class Witness {
  readonly #child: ChildProcess;
  #waiting: ((line: string) => void)[] = [];
  #text = "";

  constructor(packageFolder: string) {
    this.#child = spawn(PYTHON, [join(HERE, "python", "witness.py")], {
      env: { ...process.env, PYTHONPATH: packageFolder },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child.stdout?.setEncoding("utf8");
    this.#child.stdout?.on("data", (chunk: string) => {
      this.#text += chunk;
      for (let end = this.#text.indexOf("\n"); end >= 0; end = this.#text.indexOf("\n")) {
        this.#waiting.shift()?.(this.#text.slice(0, end));
        this.#text = this.#text.slice(end + 1);
      }
    });
    this.#child.on("exit", (code) => {
      for (const answer of this.#waiting.splice(0)) {
        answer(`{"error": "witness ended with ${code}"}`);
      }
    });
  }

  async ask(request: Record<string, unknown>): Promise<Answer> {
    const answer = new Promise<string>((resolve) => this.#waiting.push(resolve));
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    return JSON.parse(await answer) as Answer;
  }

  close(): void {
    this.#child.stdin?.end();
  }
}

/** The digest that the witness computes, over entries in scan order. */
export function digest(
  entries: Iterable<readonly [Uint8Array, Uint8Array]>,
): { count: number; hash: string } {
  const hash = createHash("sha256");
  const lengths = new DataView(new ArrayBuffer(8));
  let count = 0;
  for (const [key, value] of entries) {
    lengths.setUint32(0, key.length, true);
    lengths.setUint32(4, value.length, true);
    hash.update(new Uint8Array(lengths.buffer));
    hash.update(key);
    hash.update(value);
    count++;
  }
  return { count, hash: hash.digest("hex") };
}

/** Asserts that the independent reader finds every rule of the format kept. */
export function assertValidFile(path: string): void {
  const result = python([join(ROOT, "tests", "support", "oracle", "lsmdump.py"), path, "check"]);
  assert.equal(result.status, 0, `lsmdump check ${path}:\n${result.stdout}${result.stderr}`);
}

/** A fresh folder, removed by the caller. */
export function temporaryFolder(name: string): string {
  return mkdtempSync(join(tmpdir(), `lsm-${name}-`));
}

/** Bytes as hexadecimal text. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A small repeatable generator of numbers below `limit`. */
export function randomNumbers(seed: number): (limit: number) => number {
  let state = seed >>> 0 || 1;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}
