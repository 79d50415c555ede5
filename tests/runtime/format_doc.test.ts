/** The worked example of docs/format.md is what the engine writes, byte for byte. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Lsm } from "../../mod.ts";

const DOC = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "docs", "format.md");

/** Lines `OFFSET  BYTES` of the fenced blocks of one kind. */
function dumps(kind: string): [number, string][] {
  const text = readFileSync(DOC, "utf8");
  return [...text.matchAll(new RegExp("```" + kind + "\\n([^`]*)```", "g"))]
    .flatMap((block) => (block[1] ?? "").trim().split("\n"))
    .map((line) => [parseInt(line.slice(0, 6), 16), line.slice(8).trim()]);
}

function assertBytes(bytes: Uint8Array, expected: [number, string][]): void {
  assert.ok(expected.length > 0, "the page has a dump");
  for (const [offset, text] of expected) {
    const count = text.split(" ").length;
    const found = Array.from(
      bytes.subarray(offset, offset + count),
      (b) => b.toString(16).padStart(2, "0"),
    );
    assert.equal(found.join(" "), text, `at ${offset.toString(16)}`);
  }
}

test("the example of docs/format.md decodes: log, meta page, data page", () => {
  const folder = mkdtempSync(join(tmpdir(), "lsm-format-"));
  try {
    const path = join(folder, "example.ldb");
    using db = new Lsm(path);
    db.set("k1", "v1");
    db.set("k2", "hello");
    const log = dumps("log");
    assertBytes(readFileSync(`${path}-log`), log);
    db.flush();
    db.checkpoint();
    assertBytes(readFileSync(path), dumps("hex"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
