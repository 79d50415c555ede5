// ffi/frames.ts and ffi/symbols.ts against the headers they mirror.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as frames from "../../ffi/frames.ts";
import { named, SYMBOLS } from "../../ffi/symbols.ts";
import type { Functions } from "../../ffi/symbols.ts";

const bulk = header("lsm_bulk.h");
const base = header("lsm.h");

function header(name: string): string {
  return readFileSync(new URL(`../../csrc/${name}`, import.meta.url), "utf8")
    .replace(/\/\*[\s\S]*?\*\//g, "");
}

function macro(name: string): number | undefined {
  const match = new RegExp(`#define ${name} (-?(?:0x)?[0-9a-fA-F]+)u?\\b`).exec(bulk + base);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

/** The macros of a header that begin with one of the prefixes, without those of `known`. */
function unknown(prefix: string, known: object): string[] {
  const names = [...bulk.matchAll(/#define (LSM_BULK_\w+) /g)].map((match) => match[1] ?? "");
  return names.filter((name) => name.startsWith(prefix) && !(name.slice(prefix.length) in known));
}

const families: [object, (name: string) => string[]][] = [
  [frames.RESULT, (name) => [`LSM_BULK_${name}`]],
  [frames.CODE, (name) => [`LSM_BULK_${name}`, `LSM_${name}`]],
  [frames.LOCK, (name) => [`LSM_BULK_LOCK_${name}`]],
  [frames.CONFIG, (name) => [`LSM_BULK_CONFIG_${name}`, `LSM_CONFIG_${name}`]],
  [frames.INFO, (name) => [`LSM_INFO_${name}`]],
  [frames.SEEK, (name) => [`LSM_BULK_SEEK_${name}`]],
  [frames.MOVE, (name) => [`LSM_BULK_${name}`]],
  [frames.OP, (name) => [`LSM_BULK_${name}`]],
  [frames.FLAG, (name) => [`LSM_BULK_${name}`]],
];

test("every constant has the value of its macro", () => {
  assert.equal(frames.ABI, macro("LSM_BULK_ABI"));
  assert.equal(frames.STATS_COUNT, macro("LSM_BULK_STATS_COUNT"));
  for (const [family, macros] of families) {
    for (const [name, value] of Object.entries(family)) {
      // LSM_BULK_ERROR and LSM_BULK_MISUSE are results, LSM_ERROR and LSM_MISUSE are codes.
      const isCode = family === frames.CODE && (value as number) < 1000;
      const names = isCode ? [`LSM_${name}`] : macros(name);
      const found = names.map(macro).find((number) => number !== undefined);
      assert.equal(found, value, names.join(" or "));
    }
  }
});

test("no lock, search mode or option of the header is missing", () => {
  assert.deepEqual(unknown("LSM_BULK_LOCK_", frames.LOCK), []);
  assert.deepEqual(unknown("LSM_BULK_SEEK_", frames.SEEK), []);
  assert.deepEqual(unknown("LSM_BULK_CONFIG_", frames.CONFIG), []);
});

test("the figures of stats are numbered without a gap", () => {
  const indexes = Object.values(frames.STATS).sort((a, b) => a - b);
  assert.deepEqual(indexes, Array.from({ length: frames.STATS_COUNT }, (_, i) => i));
});

test("every function of lsm_bulk.h is in the table, with its signature", () => {
  const declared: Record<string, { parameters: string[]; result: string }> = {};
  for (
    const [, result = "", name = "", list = ""] of bulk.matchAll(
      /LSM_API\s+(\w+)\s+(lsm_bulk_\w+)\(([^)]*)\)\s*;/g,
    )
  ) {
    const parameters = list.trim() === "void" ? [] : list.split(",").map(neutral);
    declared[name] = { parameters, result: neutral(result) };
  }
  assert.ok(Object.keys(declared).length > 30);
  assert.deepEqual({ ...SYMBOLS }, declared);
});

function neutral(type: string): string {
  if (type.includes("*")) return "buffer";
  if (type.includes("uint32_t")) return "u32";
  return type.includes("int32_t") ? "i32" : type.trim();
}

test("every function of the table has a name in the interface", () => {
  const functions = Object.fromEntries(Object.keys(SYMBOLS).map((name) => [name, name]));
  const methods = Object.values(named(functions as unknown as Functions)) as unknown[];
  assert.deepEqual(methods.sort(), Object.keys(SYMBOLS).sort());
});

test("padded rounds up to a multiple of 4", () => {
  assert.deepEqual([0, 1, 4, 5, 2 ** 31 - 5].map(frames.padded), [0, 4, 4, 8, 2 ** 31 - 4]);
});
