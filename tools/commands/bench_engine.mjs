/**
 * `bench engine [1m | 5m] [NAME=VALUE ...]`: the C engine against LSM1, LMDB, LevelDB and RocksDB.
 *
 *     1m, 5m             the options of PRESETS below, which later words change
 *     records=300000     records of each fill, fewer if values are longer than 300 bytes; half as many
 *                        single puts, and a 300th of them synced, up to 3000
 *     values=100,1000    sizes of the values
 *     rounds=5           each round runs every engine once, so that what else the machine does meets all
 *     run=bulk,put,synced,defaults
 *     only=fill,scan-forward   of the measures of bulk
 *     engines=ours,lsm1  instead of all that are installed
 *     library=FILE       another build of our library, instead of building it first
 *     background=1       ours with its background worker
 *     folder=PATH        where the databases are made (default: the system's folder for such things)
 *     save=0             no file in benches/results
 *
 * Prints the median of each measure and how many times faster we are; by the clock and by processor
 * time of all threads. `defaults` is the second table, each engine with its own options.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Failure, run } from "../bootstrap/run.mjs";
import { ensureEngines } from "./bench_peers.mjs";
import { list, median, readOptions, saveResult, shortCount } from "./bench_results.mjs";

const RUNS = ["bulk", "put", "synced", "defaults"];
const OPTIONS = {
  records: "300000",
  values: "100,1000",
  rounds: "5",
  run: RUNS.join(","),
  only: "",
  engines: "",
  library: "",
  background: "0",
  folder: tmpdir(),
  save: "1",
};
/** Together they take less than half an hour on a quiet machine with two processors. */
const PRESETS = {
  "1m": { records: "1000000", run: "bulk,put,synced" },
  "5m": {
    records: "5000000",
    values: "100",
    rounds: "3",
    run: "bulk,put",
    engines: "ours,lsm1,lmdb,leveldb",
  },
};
const SYNCED_MAX = 3000;

export async function benchEngine(words) {
  const options = parseOptions(words);
  const engines = await ensureEngines(list(options.engines), options.library);
  if (engines.length === 0) throw new Failure("None of these engines is installed");
  const tables = tablesOf(options);
  for (let round = 1; round <= Number(options.rounds); round++) {
    for (const table of tables) {
      for (const engine of engines) {
        process.stderr.write(
          `round ${round} of ${options.rounds}: ${table.title}, ${engine.name}\n`,
        );
        await measure(engine, table, options);
      }
    }
  }
  for (const table of tables) print(table, engines);
  if (options.save !== "0") save(options, engines, tables);
  return 0;
}

function parseOptions(words) {
  const preset = Object.hasOwn(PRESETS, words[0] ?? "") ? PRESETS[words[0]] : undefined;
  const { options, wrong } = readOptions(preset ? words.slice(1) : words, {
    ...OPTIONS,
    ...preset,
  });
  if (wrong) {
    const names = [...Object.keys(PRESETS), ...Object.keys(OPTIONS).map((name) => `${name}=`)];
    throw new Failure(`No such option: ${wrong}`, `one of ${names.join(", ")}`);
  }
  for (const name of list(options.run)) {
    if (!RUNS.includes(name)) throw new Failure(`run=${name}`, `one of ${RUNS.join(", ")}`);
  }
  return options;
}

/** One table for each size of value and run; `samples` is filled round by round. */
function tablesOf(options) {
  const runs = list(options.run);
  return list(options.values).map(Number).flatMap((value) =>
    RUNS.filter((name) => runs.includes(name)).flatMap((name) => {
      const title = `${name}, values of ${value} bytes`;
      const words = [`value=${value}`, `run=${name}`];
      if (name !== "defaults") return [{ title, words, value, samples: new Map() }];
      return ["bulk", "put"].map((run) => ({
        title: `${run}, values of ${value} bytes, each at its own defaults`,
        words: [`value=${value}`, `run=${run}`, "defaults=1"],
        value,
        defaults: true,
        samples: new Map(),
      }));
    })
  );
}

async function measure(engine, table, options) {
  const folder = mkdtempSync(join(options.folder, "lsm-bench-"));
  const only = options.only ? [`only=${options.only}`] : [];
  const records = Math.round(Number(options.records) * Math.min(1, 300 / table.value));
  const synced = Math.min(SYNCED_MAX, Math.ceil(records / 300));
  const counts = [`records=${records}`, `synced_puts=${synced}`];
  const words = [...table.words, ...engine.words, ...only, ...counts];
  if (engine.name === "ours") words.push(`background=${options.background}`);
  // LMDB by itself syncs every commit.
  if (table.defaults && engine.name === "lmdb") words.push(`puts=${synced}`);
  try {
    const { code, output } = await run(engine.program, [folder, ...words], {
      capture: true,
      env: engine.env,
    });
    if (code !== 0) throw new Failure(`${engine.name} failed (code ${code}):\n${output}`);
    for (const line of output.split("\n").filter((text) => text.startsWith("{"))) {
      const { version, measure: name, ...sample } = JSON.parse(line);
      if (version) {
        engine.version = version;
        continue;
      }
      const byEngine = table.samples.get(name) ?? new Map();
      table.samples.set(name, byEngine);
      byEngine.set(engine.name, [...byEngine.get(engine.name) ?? [], sample]);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Medians over the rounds; times in nanoseconds an operation. */
function summary(samples) {
  const each = (field) => median(samples.map((s) => s[field]));
  const result = {
    wallNs: median(samples.map((s) => s.wall / s.count * 1e9)),
    cpuNs: median(samples.map((s) => s.cpu / s.count * 1e9)),
  };
  for (const name of ["p50", "p99", "p99_9", "p99_99", "max"]) {
    if (samples[0][name] !== undefined) result[name] = each(name);
  }
  return result;
}

function summaries(table) {
  return new Map(
    [...table.samples].map(([name, byEngine]) => [
      name,
      new Map([...byEngine].map(([engine, samples]) => [engine, summary(samples)])),
    ]),
  );
}

function print(table, engines) {
  const names = engines.map(({ name }) => name);
  const peers = names.filter((name) => name !== "ours");
  console.log(`\n${table.title}: nanoseconds an operation by the clock (processor time)`);
  console.log("".padEnd(14) + names.map((name) => name.padStart(20)).join(""));
  const all = summaries(table);
  for (const [name, byEngine] of all) {
    const cells = names.map((engine) => {
      const found = byEngine.get(engine);
      return (found ? `${digits(found.wallNs)} (${digits(found.cpuNs)})` : "").padStart(20);
    });
    console.log(name.padEnd(14) + cells.join(""));
  }
  printCalls(all, names);
  if (!names.includes("ours") || peers.length === 0) return;
  console.log("  how many times as fast as the other we are, by the clock (by processor time)");
  for (const [name, byEngine] of all) {
    const own = byEngine.get("ours");
    const cells = peers.map((peer) => {
      const other = byEngine.get(peer);
      if (!other || !own) return "".padStart(20);
      const wall = (other.wallNs / own.wallNs).toFixed(2);
      return `${wall} (${(other.cpuNs / own.cpuNs).toFixed(2)})`.padStart(20);
    });
    console.log(name.padEnd(14) + "".padStart(20) + cells.join(""));
  }
}

function printCalls(all, names) {
  for (const [name, byEngine] of all) {
    if (byEngine.values().next().value.p50 === undefined) continue;
    for (const point of ["p50", "p99_99", "max"]) {
      const cells = names.map((engine) =>
        digits(byEngine.get(engine)?.[point] ?? NaN).padStart(20)
      );
      console.log(
        `${name} ${point}`.padEnd(14).slice(0, 18).padEnd(14) + cells.join("") + "  us a call",
      );
    }
  }
}

function digits(number) {
  return number < 100 ? number.toFixed(1) : number.toFixed(0);
}

function save(options, engines, tables) {
  saveResult("engine", shortCount(Number(options.records)), {
    options: Object.fromEntries(
      ["records", "values", "rounds", "run", "only"].map((name) => [name, options[name]]),
    ),
    engines: Object.fromEntries(engines.map(({ name, version }) => [name, version])),
    tables: tables.map((table) => ({
      title: table.title,
      options: table.words,
      medians: Object.fromEntries(
        [...summaries(table)].map(([name, byEngine]) => [name, Object.fromEntries(byEngine)]),
      ),
    })),
  });
}
