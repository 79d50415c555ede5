/**
 * `bench calls [NAME=VALUE ...]`: the system calls of our engine for each operation, counted by strace.
 *
 *     records=20000        of 100 bytes, read from memory and from the mapped file
 *     puts=4000            single puts that stay in memory (fewer than AUTOFLUSH)
 *     library=FILE         another build of our library, instead of building it first
 *
 * Fails unless reads make no call at all but those that open and close the cursor, and a put makes at most
 * one: the write to the log.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Failure } from "../bootstrap/run.mjs";
import { ensureEngines } from "./bench_peers.mjs";
import { readOptions } from "./bench_results.mjs";

const OPTIONS = { records: "20000", puts: "4000", library: "" };
const READS = ["get-hit", "get-miss", "scan-forward", "scan-reverse", "seek-10"];
/** Calls that opening a cursor may need, and opening a database. */
const ONCE = { cursor: 10, database: 100 };

export async function benchCalls(words) {
  const { options, wrong } = readOptions(words, OPTIONS);
  if (wrong) throw new Failure(`No such option: ${wrong}`, "records=, puts= or library=");
  if (spawnSync("strace", ["-V"], { stdio: "ignore" }).status !== 0) {
    throw new Failure("strace is not installed", "Debian: apt install strace");
  }
  const [engine] = await ensureEngines(["ours"], options.library);
  const counts = [
    ...trace(engine, ["run=bulk", `records=${options.records}`, `reads=${options.records}`]),
    ...trace(engine, ["run=put", `records=${options.records}`, `puts=${options.puts}`]),
  ];
  let worst = 0;
  console.log("measure        operations  calls  calls an operation, by name");
  for (const { measure, count, calls, total } of counts) {
    const most = mostOf(measure, count);
    const names = [...calls].sort((a, b) => b[1] - a[1]).slice(0, 4)
      .map(([name, times]) => `${name} ${(times / count).toFixed(4)}`);
    const verdict = total > most ? "  TOO MANY" : "";
    if (total > most) worst = 1;
    console.log(
      measure.padEnd(14) + String(count).padStart(11) + String(total).padStart(7) +
        `  ${names.join(", ")}${verdict}`,
    );
  }
  return worst;
}

function mostOf(measure, count) {
  if (READS.includes(measure)) return ONCE.cursor;
  return measure === "put" ? count + ONCE.database : Infinity;
}

/** Runs the driver under strace. The line that it writes at the end of each measure ends its calls. */
function trace(engine, words) {
  const folder = mkdtempSync(join(tmpdir(), "lsm-bench-"));
  try {
    const file = join(folder, "calls");
    const database = mkdtempSync(join(folder, "database-"));
    const command = [engine.program, database, ...engine.words, ...words];
    const { status, stderr } = spawnSync("strace", ["-f", "-s", "200", "-o", file, ...command], {
      env: { ...process.env, ...engine.env },
      encoding: "utf8",
    });
    if (status !== 0) throw new Failure(`strace failed (code ${status}): ${stderr}`);
    return [...measuresOf(readFileSync(file, "utf8"))];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function* measuresOf(text) {
  let calls = new Map();
  let total = 0;
  for (const line of text.split("\n")) {
    const name = /^\d+ +([a-z0-9_]+)\(/.exec(line)?.[1];
    if (!name || name === "clock_gettime") continue; // the driver's own, for processor time
    const end = /write\(1, "\{\\"measure\\":\\"([a-z0-9-]+)\\",\\"count\\":(\d+)/.exec(line);
    if (end) {
      yield { measure: end[1], count: Number(end[2]), calls, total };
      calls = new Map();
      total = 0;
      continue;
    }
    calls.set(name, (calls.get(name) ?? 0) + 1);
    total++;
  }
}
