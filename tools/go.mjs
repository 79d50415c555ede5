/**
 * The commands of the project. package.json's scripts and deno.json's tasks are all the same line:
 *
 *     node tools/go.mjs <command> [arguments]
 *
 * Everything a command needs is installed first: libraries, pinned runtimes, Zig, the shared library.
 * Plain JavaScript on `node:` modules, so that Node, Deno or Bun can start it in a fresh clone.
 */
import process from "node:process";
import { ensureReady } from "./bootstrap/ready.mjs";
import { Failure } from "./bootstrap/run.mjs";
import { bench } from "./commands/bench.mjs";
import { check } from "./commands/check.mjs";
import { cross } from "./commands/cross.mjs";
import { demo } from "./commands/demo.mjs";
import { format } from "./commands/format.mjs";
import { fuzz } from "./commands/fuzz.mjs";
import { ok } from "./commands/ok.mjs";
import { test } from "./commands/test.mjs";

const COMMANDS = {
  demo: { run: demo, about: "A tour of the library on 135,000 cities (--deno or --bun)" },
  test: { run: test, about: "C tests and runtime tests on Deno and Bun [c deno bun] [name ...]" },
  build: { run: build, about: "The shared library of this machine" },
  cross: { run: cross, about: "The shared libraries of all targets, with their checks" },
  check: { run: check, about: "Format, lint, types, layers, symbols: all that needs no run" },
  bench: { run: bench, about: "Benchmarks (see benches/README.md)" },
  fuzz: { run: fuzz, about: "Hostile files and frames, with clang [target ...] [runs]" },
  fmt: { run: format, about: "Format the TypeScript and JavaScript files" },
  ok: { run: ok, about: "Everything a reviewer asks for: check, test, cross, sanitizers" },
};

async function build() {
  const { library } = await ensureReady({ library: true });
  console.log(library);
  return 0;
}

async function main() {
  const [name, ...args] = process.argv.slice(2);
  const command = Object.hasOwn(COMMANDS, name ?? "") ? COMMANDS[name] : undefined;
  if (!command) {
    if (name && name !== "help" && name !== "--help") console.error(`No such command: ${name}\n`);
    console.log("node tools/go.mjs <command>\n");
    for (const [word, { about }] of Object.entries(COMMANDS)) {
      console.log(`  ${word.padEnd(8)}${about}`);
    }
    return name && !/^(--)?help$/.test(name) ? 2 : 0;
  }
  return await command.run(args);
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Failure ? error.message : error);
  process.exitCode = 1;
}
