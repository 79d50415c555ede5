/**
 * Starting other programs. Children never get our standard input: nothing may wait for a person.
 */
import { spawn, spawnSync } from "node:child_process";
import process from "node:process";
import { ROOT } from "./project.mjs";

/** A failure that a person can do something about: printed without a stack. */
export class Failure extends Error {
  /** @param {string} what happened @param {string} [remedy] what to do about it */
  constructor(what, remedy) {
    super(remedy ? `${what}\n  What to do: ${remedy}` : what);
    this.name = "Failure";
  }
}

/**
 * Runs a program to its end.
 *
 * @param {string} program
 * @param {string[]} args
 * @param {{ cwd?: string, env?: Record<string, string | undefined>, capture?: boolean, shell?: boolean,
 *   timeoutMs?: number }} [options] With `capture` the output is returned instead of shown.
 * @returns {Promise<{ code: number, output: string }>} Code 127 if it could not be started.
 */
export function run(program, args, options = {}) {
  const { cwd = ROOT, env, capture = false, shell = false, timeoutMs } = options;
  return new Promise((resolve) => {
    const chunks = [];
    const child = spawn(program, args, {
      cwd,
      shell,
      env: withoutUndefined({ ...process.env, ...env }),
      stdio: ["ignore", capture ? "pipe" : "inherit", capture ? "pipe" : "inherit"],
      windowsHide: true,
      timeout: timeoutMs,
      killSignal: "SIGKILL",
    });
    child.stdout?.on("data", (chunk) => chunks.push(chunk));
    child.stderr?.on("data", (chunk) => chunks.push(chunk));
    child.on("error", (error) => resolve({ code: 127, output: String(error.message) }));
    child.on("close", (code, signal) => {
      const text = Buffer.concat(chunks).toString();
      resolve({ code: code ?? 1, output: signal ? `${text}\nended by ${signal}` : text });
    });
  });
}

/** Runs a program, shows its output and throws a Failure unless it succeeds. */
export async function runOrFail(program, args, options) {
  const { code, output } = await run(program, args, options);
  if (code !== 0) {
    const line = [program, ...args].join(" ");
    throw new Failure(`${line} failed (code ${code})${output ? `\n${output}` : ""}`);
  }
  return output;
}

/** The output of a short command such as `zig version`, or undefined if it fails. */
export function outputOf(program, args) {
  const result = spawnSync(program, args, { stdio: ["ignore", "pipe", "ignore"], timeout: 20_000 });
  return result.status === 0 ? result.stdout.toString().trim() : undefined;
}

function withoutUndefined(env) {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined));
}
