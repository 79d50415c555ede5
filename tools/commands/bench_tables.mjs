/**
 * Results of benchmarks as Markdown, and `bench readme`: writes them into benches/README.md between
 *
 *     <!-- results: engine-2026-11-24-300k.json -->     and     <!-- /results -->
 *
 * so that no figure of a table is typed by hand. `bytes` behind the name of a file leaves the times out.
 * `bench readme check` only compares.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../bootstrap/project.mjs";
import { Failure } from "../bootstrap/run.mjs";
import { RESULTS, shortCount } from "./bench_results.mjs";

const README = "benches/README.md";
const BLOCK = /(<!-- results: (\S+)( bytes)? -->\n)[^]*?(<!-- \/results -->)/g;
const NAMES = {
  ours: "ours",
  lsm1: "LSM1",
  lmdb: "LMDB",
  leveldb: "LevelDB",
  rocksdb: "RocksDB",
};

export function benchReadme(words) {
  const path = join(ROOT, README);
  const before = readFileSync(path, "utf8");
  const after = before.replace(
    BLOCK,
    (_all, begin, file, bytes, end) => begin + block(file, bytes !== undefined) + end,
  );
  if (words[0] === "check") {
    if (before === after) return 0;
    throw new Failure(
      `${README} differs from the results it names`,
      "node tools/go.mjs bench readme",
    );
  }
  writeFileSync(path, after);
  return 0;
}

function block(file, bytesOnly) {
  const result = JSON.parse(readFileSync(join(ROOT, RESULTS, file), "utf8"));
  return `\n${origin(result)}\n\n${
    result.runs ? largeTables(result, bytesOnly) : engineTables(result)
  }\n\n`;
}

/** One line: when, on what. */
function origin({ date, machine, engines }) {
  const { processors, processor, memoryGiB, system, distribution } = machine;
  const versions = Object.entries(engines).map(([name, version]) =>
    `${NAMES[name]} ${version?.replace(/^LMDB |: \(.*$/g, "") || "(version not told)"}`
  );
  return `${date}; ${processors} × ${processor}, ${memoryGiB} GiB, ${system}, ${distribution}; ${
    versions.join(", ")
  }.`;
}

function row(cells) {
  return `| ${cells.join(" | ")} |`;
}

function table(head, rows) {
  return [row(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(row)].join("\n");
}

/** Nanoseconds with three digits that count. */
function time(ns) {
  if (ns === undefined || Number.isNaN(ns)) return "";
  if (ns >= 1e9) return `${(ns / 1e9).toFixed(ns < 1e10 ? 1 : 0)} s`;
  if (ns >= 1e6) return `${(ns / 1e6).toFixed(ns < 1e7 ? 1 : 0)} ms`;
  if (ns >= 1e5) return `${(ns / 1e3).toFixed(0)} µs`;
  return ns < 100 ? ns.toFixed(1) : ns.toFixed(0);
}

/* ------------------------------------------------------------------------- bench engine -- */

const ROWS = [
  ["fill", "fill, 1000 puts a transaction"],
  ["overwrite", "overwrite, 1000 a transaction"],
  ["put", "single puts"],
  ["synced", "single puts, each synced"],
  ["get-hit", "get, present"],
  ["get-miss", "get, absent"],
  ["scan-forward", "scan forward, a record"],
  ["scan-reverse", "scan in reverse, a record"],
  ["seek-10", "seek and 10 steps"],
];

/** For each size of value one table of how many times as fast we are, by the clock and by processor time. */
export function engineTables({ options, tables, engines }) {
  const names = Object.keys(engines);
  const groups = new Map();
  for (const { options: words, medians } of tables) {
    const value = /value=(\d+)/.exec(words.join(" "))[1];
    const own = words.includes("defaults=1") ? ", each at its own defaults" : "";
    const count = Math.round(Number(options.records) * Math.min(1, 300 / Number(value)));
    const name = `${shortCount(count)} records, values of ${value} bytes${own}`;
    groups.set(name, { ...groups.get(name), ...medians });
  }
  return [...groups].map(([title, medians]) => {
    const rows = ROWS.filter(([name]) => medians[name]).map(([name, text]) =>
      comparison(names, text, medians[name])
    );
    if (medians.put?.ours?.p99_99 !== undefined) rows.push(longest(names, medians.put));
    const head = [`${title}`, "ours, ns", ...names.slice(1).map((name) => NAMES[name])];
    return table(head, rows);
  }).concat(`Medians of ${options.rounds} rounds.`).join("\n\n");
}

function ratio(other, own) {
  return other === undefined ? "" : (other / own).toFixed(2);
}

function comparison(names, text, byEngine) {
  const own = byEngine.ours;
  const cells = names.slice(1).map((name) => {
    const other = byEngine[name];
    return other ? `${ratio(other.wallNs, own.wallNs)} (${ratio(other.cpuNs, own.cpuNs)})` : "";
  });
  return [text, time(own.wallNs), ...cells];
}

function longest(names, byEngine) {
  const own = byEngine.ours.p99_99;
  const cells = names.slice(1).map((name) => ratio(byEngine[name]?.p99_99, own));
  return ["single puts, p99.99 of the calls", time(own * 1000), ...cells];
}

/* -------------------------------------------------------------------------- bench large -- */

const LARGE_ROWS = [
  "fill",
  "overwrite",
  "merge-all",
  "get-hit",
  "get-miss",
  "scan-forward",
  "scan-reverse",
  "seek-10",
  "merged-get-hit",
  "merged-get-miss",
  "merged-scan-forward",
  "merged-scan-reverse",
  "merged-seek-10",
  "close",
  "reopen",
  "cold-get-hit",
  "cold-get-miss",
  "cold-scan-forward",
  "cold-scan-reverse",
  "cold-seek-10",
];

/** Times and growth, then memory and disk; one column for each engine and number of records. */
export function largeTables({ runs, options }, bytesOnly = false) {
  const engines = [...new Set(runs.map(({ engine }) => engine))];
  const times = engines.map((engine) => timesOf(runs.filter((run) => run.engine === engine)));
  const units =
    "Nanoseconds an operation, unless a unit stands there, by the clock (by processor time); " +
    "the factor is against the first column.";
  const disk = table(
    [
      "",
      "own memory at most",
      "mapped at most",
      "all that counts against the limit",
      "write calls",
      "of that for logs",
      "given to the disk",
      "space after fill",
      "after merge-all and close",
    ],
    runs.map(diskOf),
  );
  const failures = runs.filter(({ failure }) => failure)
    .map(({ engine, records, failure }) => `${NAMES[engine]}, ${shortCount(records)}: ${failure}.`);
  const limit = runs.every(({ limited }) => limited)
    ? `${options.limit} MB of memory, the system's cache of the files included.`
    : "Memory not limited.";
  return [
    `Values of ${options.value} bytes, keys of 16. ${limit}${bytesOnly ? "" : ` ${units}`}`,
    ...bytesOnly ? [] : times,
    "Amplification: bytes written until the end of the fill, and bytes of files, over bytes of keys and values. " +
    'What is stored through a mapping (LSM1: the database) is no write call; "given to the disk" has all.',
    disk,
    ...failures,
  ].join("\n\n");
}

function timesOf(runs) {
  const [first] = runs;
  const head = [NAMES[first.engine], ...runs.map(({ records }) => shortCount(records))];
  const rows = LARGE_ROWS.filter((name) => runs.some(({ measures }) => measures[name])).map((
    name,
  ) => [
    name,
    ...runs.map(({ measures }, at) => {
      const found = measures[name];
      const base = first.measures[name];
      if (!found) return "";
      const growth = at > 0 && base ? ` ×${(found.wallNs / base.wallNs).toFixed(1)}` : "";
      return `${time(found.wallNs)} (${time(found.cpuNs)})${growth}`;
    }),
  ]);
  return table(head, rows);
}

function diskOf({ engine, records, userBytes, measures, groupPeak }) {
  const all = Object.values(measures);
  const peak = (name) => megabytes(Math.max(...all.map((measure) => measure[name] ?? 0)));
  const times = (bytes) => bytes === undefined ? "" : (bytes / userBytes).toFixed(2);
  const { fill, close } = measures;
  const sum = fill && fill.log_written + fill.data_written;
  return [
    `${NAMES[engine]}, ${shortCount(records)}`,
    peak("anon_peak"),
    peak("file_peak"),
    groupPeak ? megabytes(groupPeak) : "",
    times(sum),
    times(fill?.log_written),
    times(fill?.disk_written),
    times(fill?.data_size),
    times(close && close.data_size + close.log_size),
  ];
}

function megabytes(bytes) {
  return Number.isFinite(bytes) ? `${(bytes / 2 ** 20).toFixed(0)} MB` : "";
}
