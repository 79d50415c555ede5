/**
 * `bench large [NAME=VALUE ...]`: databases far larger than memory.
 *
 *     records=1000000,5000000,20000000   records of each database, one after the other
 *     limit=512            MB of memory for the process and the system's cache of its files; 0: no limit
 *     value=100            size of the values; keys have 16 bytes
 *     reads=50000          gets of each kind; a quarter as many seeks
 *     only=fill,get-hit    of the measures; fill is always done
 *     engines=ours,lsm1,leveldb
 *     budget=0             KB for what our engine keeps about its runs; 0: its default
 *     minutes=10           an engine that takes longer with one database is ended and left out
 *     library=FILE         another build of our library, instead of building it first
 *     folder=PATH          where the databases are made; they take three times the data
 *     save=0               no file in benches/results
 *
 * Each database: fill, reads, a quarter overwritten, merged into one run, the same reads, closed, the
 * system told to forget the files, opened, the same reads. Where no control group can be made the limit
 * is only compared with what the process had of its own (RssAnon), and the system's cache is not
 * limited: then the reads say little.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Failure, run } from "../bootstrap/run.mjs";
import { ensureEngines } from "./bench_peers.mjs";
import { list, readOptions, saveResult, shortCount } from "./bench_results.mjs";
import { largeTables } from "./bench_tables.mjs";
import { makeMemoryGroup } from "./memory_group.mjs";

const KEY_BYTES = 16;
const OPTIONS = {
  records: "1000000,5000000,20000000",
  limit: "512",
  value: "100",
  reads: "50000",
  only: "",
  engines: "ours,lsm1,leveldb",
  budget: "0",
  minutes: "10",
  library: "",
  folder: tmpdir(),
  save: "1",
};

export async function benchLarge(words) {
  const { options, wrong } = readOptions(words, OPTIONS);
  if (wrong) {
    throw new Failure(`No such option: ${wrong}`, `one of ${Object.keys(OPTIONS).join("=, ")}=`);
  }
  const engines = await ensureEngines(list(options.engines), options.library);
  const runs = [];
  for (const records of list(options.records).map(Number)) {
    for (const engine of engines) {
      process.stderr.write(`${shortCount(records)} records, ${engine.name}\n`);
      runs.push(await runOne(engine, records, options));
    }
  }
  const result = {
    options: Object.fromEntries(
      ["records", "limit", "value", "reads", "only", "budget", "minutes"].map((
        name,
      ) => [name, options[name]]),
    ),
    engines: Object.fromEntries(engines.map(({ name, version }) => [name, version])),
    runs,
  };
  console.log(largeTables(result));
  if (options.save !== "0") {
    saveResult("large", list(options.records).map(Number).map(shortCount).join("-"), result);
  }
  return runs.some(({ failure }) => failure && !failure.startsWith("took")) ? 1 : 0;
}

async function runOne(engine, records, options) {
  const folder = mkdtempSync(join(options.folder, "lsm-bench-"));
  const limit = Number(options.limit) * 2 ** 20;
  const group = limit > 0 ? makeMemoryGroup(limit) : undefined;
  if (limit > 0 && !group) console.log("no control group: the system's cache is not limited");
  const only = options.only ? [`only=${options.only}`] : [];
  const counts = [`records=${records}`, `value=${options.value}`, `reads=${options.reads}`];
  const command = [engine.program, folder, "run=large", ...engine.words, ...counts, ...only];
  if (engine.name === "ours") command.push(`budget=${options.budget}`);
  const [program, ...args] = [...group?.launcher ?? [], ...command];
  const timeoutMs = Number(options.minutes) * 60_000;
  const begin = Date.now();
  const result = {
    engine: engine.name,
    records,
    userBytes: records * (KEY_BYTES + Number(options.value)),
  };
  try {
    const { code, output } = await run(program, args, {
      capture: true,
      env: engine.env,
      timeoutMs,
    });
    const lines = output.split("\n").filter((line) => line.startsWith("{")).map((line) =>
      JSON.parse(line)
    );
    engine.version ||= lines.find(({ version }) => version)?.version ?? "";
    const measures = lines.filter(({ measure }) => measure);
    const anonPeak = Math.max(...measures.map(({ anon_peak }) => anon_peak ?? 0));
    return {
      ...result,
      limited: group !== undefined,
      groupPeak: group?.peak(),
      measures: Object.fromEntries(measures.map(facts)),
      failure: code === 0
        ? limit > 0 && anonPeak > limit ? `had ${anonPeak} bytes of its own` : undefined
        : failureOf(code, output, Date.now() - begin >= timeoutMs, options),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
    group?.remove();
  }
}

/** Name and figures of a line; times in nanoseconds an operation. */
function facts({ measure, count, wall, cpu, ...rest }) {
  return [measure, { count, wallNs: wall / count * 1e9, cpuNs: cpu / count * 1e9, ...rest }];
}

function failureOf(code, output, late, { minutes, limit }) {
  if (late) return `took more than ${minutes} minutes`;
  if (/ended by SIGKILL\s*$/.test(output)) return `killed by the system: more than ${limit} MB`;
  const lines = output.split("\n").filter((line) => line && !line.startsWith("{"));
  return `code ${code}: ${lines.join(" ")}`;
}
