/**
 * Checks docs/defects.md: every defect of the list has a row, every test named there exists and says the number.
 *
 *     deno run --allow-read tools/check_defects.ts
 *
 * Runs in Deno, Bun and Node alike.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const TABLE = "docs/defects.md";
const DEFECT_COUNT = 73;
/** What a row without a test has to say. */
const REASONS = ["**no test**", "next issue"];

interface Row {
  readonly defect: number;
  readonly tests: readonly { readonly file: string; readonly name: string }[];
  readonly missing: string;
}

function rowsOf(text: string): Row[] {
  const rows: Row[] = [];
  for (const line of text.split("\n")) {
    const [, defect, , tests, missing] = line.split("|").map((cell) => cell.trim());
    if (!/^\d+$/.test(defect ?? "")) continue;
    rows.push({
      defect: Number(defect),
      tests: [...(tests ?? "").matchAll(/`([\w/.]+)` ([^<]+)/g)].map(([, file, name]) => ({
        file: file ?? "",
        name: (name ?? "").trim(),
      })),
      missing: missing ?? "",
    });
  }
  return rows;
}

/** The number stands in the name of the test, or in the comment in front of it. */
function problemOfTest(defect: number, file: string, name: string): string | undefined {
  const path = join(ROOT, "tests", file);
  if (!existsSync(path)) return `tests/${file} does not exist`;
  const text = readFileSync(path, "utf8");
  const at = text.indexOf(file.endsWith(".ts") ? `test("${name}"` : `TEST(${name})`);
  if (at < 0) return `tests/${file} has no test ${name}`;
  if (new RegExp(`DF_(\\d+_)*${defect}_`).test(name)) return undefined;
  const comment = text.slice(0, at).split("\n\n").at(-1) ?? "";
  if (new RegExp(`DF-${defect}\\b`).test(comment)) return undefined;
  return `tests/${file}: the test ${name} does not say DF-${defect}`;
}

function problemsOf(rows: readonly Row[]): string[] {
  const problems: string[] = [];
  for (let defect = 1; defect <= DEFECT_COUNT; defect++) {
    const count = rows.filter((row) => row.defect === defect).length;
    if (count !== 1) problems.push(`DF-${defect} has ${count} rows`);
  }
  for (const { defect, tests, missing } of rows) {
    if (tests.length === 0 && !REASONS.some((reason) => missing.includes(reason))) {
      problems.push(`DF-${defect} has neither a test nor a reason`);
    }
    for (const { file, name } of tests) {
      const problem = problemOfTest(defect, file, name);
      if (problem) problems.push(problem);
    }
  }
  return problems;
}

const rows = rowsOf(readFileSync(join(ROOT, TABLE), "utf8"));
const problems = problemsOf(rows);
if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
const tested = rows.filter((row) => row.tests.length > 0).length;
console.log(`${tested} of ${DEFECT_COUNT} defects have tests`);
