import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";

test("both package files give the same version", () => {
  const [npm, jsr] = ["package.json", "deno.json"].map((name) =>
    JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), "utf8"))
  );
  assert.equal(npm.version, jsr.version);
  assert.equal(npm.name, jsr.name);
});

test("property tests run", () => {
  fc.assert(fc.property(fc.string(), (text) => text.length >= 0));
});
