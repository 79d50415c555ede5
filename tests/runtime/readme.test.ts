// The examples of README and guide are programs that print what their comments promise, with the
// permissions the README names.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Lsm, version } from "../../mod.ts";
import { isDeno, libraryPermission, runProgram } from "./program.ts";
import { place } from "./support.ts";
import type { Place } from "./support.ts";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const README = readFileSync(join(ROOT, "README.md"), "utf8");
const GUIDE = readFileSync(join(ROOT, "docs", "guide.md"), "utf8");
const EXAMPLES = blocks(README, "ts");
const ALL_EXAMPLES = [...EXAMPLES, ...blocks(GUIDE, "ts")];
const DOOR = pathToFileURL(join(ROOT, "mod.ts")).href;

/** The blocks of code in one language. */
function blocks(page: string, language: string): string[] {
  const pattern = new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g");
  return [...page.matchAll(pattern)].map(([, source]) => source ?? "");
}

/** Writes a program into the folder of a test. */
function written(at: Place, source: string): string {
  const file = at.file("program.ts");
  writeFileSync(
    file,
    source.replaceAll(/"(@lsmdb\/lsm|\.\.\/lsm\/mod\.ts)"/g, JSON.stringify(DOOR)),
  );
  return file;
}

/** What the comments behind `console.log(...)` say that is printed. */
function promised(source: string): string[] {
  return [...source.matchAll(/console\.log\(.*\); \/\/ (.*)/g)].flatMap(([line, text = ""]) =>
    line.includes("${key}") ? text.split(", ") : [text]
  );
}

test("the README's first example is the quickstart", () => {
  const source = readFileSync(join(ROOT, "examples", "quickstart.ts"), "utf8");
  const body = source.slice(source.indexOf("import { Lsm }"))
    .replace('"../mod.ts"', '"@lsmdb/lsm"');
  assert.equal(EXAMPLES[0]?.trim(), body.trim());
});

test("the examples of README and guide print what they say, with the one permission", () => {
  assert.ok(EXAMPLES.length >= 2);
  assert.ok(ALL_EXAMPLES.length >= EXAMPLES.length + 8);
  for (const source of ALL_EXAMPLES) {
    using at = place();
    const { status, output, errors } = runProgram(at, written(at, source));
    assert.equal(status, 0, errors);
    assert.deepEqual(output.trim().split("\n"), promised(source), source);
  }
});

test("the README's copy is a database", async () => {
  const source = EXAMPLES.find((example) => example.includes(".backup("));
  assert.ok(source !== undefined);
  using at = place();
  runProgram(at, written(at, source));
  const [, name = ""] = /\.backup\("([^"]+)"/.exec(source) ?? [];
  assert.ok((await Lsm.verify(at.file(name))).ok);
});

/** What a program may do: the states of all permissions but that for one path. */
const PROBE = `
const names = ["read", "write", "net", "env", "run", "sys", "ffi"];
const states = names.map((name) => Deno.permissions.querySync({ name }).state);
const library = { name: "ffi", path: Deno.args[0] ?? ${JSON.stringify(version.library)} };
console.log(...states, Deno.permissions.querySync(library).state);
try {
  Deno.readTextFileSync(import.meta.filename);
} catch (error) {
  console.log(error.name);
}
`;

test(
  "a program started here has the permission it was given, and no other",
  { skip: !isDeno },
  () => {
    using at = place();
    const file = written(at, PROBE);
    const nothing = "prompt ".repeat(7).trim();
    const given = runProgram(at, file, [libraryPermission]);
    assert.deepEqual(given.output.trim().split("\n"), [`${nothing} granted`, "NotCapable"]);
    const none = runProgram(at, file, []);
    assert.deepEqual(none.output.trim().split("\n"), [`${nothing} prompt`, "NotCapable"]);
  },
);

test("every example fails without the permission, and says which", { skip: !isDeno }, () => {
  for (const source of EXAMPLES) {
    using at = place();
    const { status, output, errors } = runProgram(at, written(at, source), []);
    assert.notEqual(status, 0);
    assert.equal(output, "");
    assert.match(errors, /LSM_LIBRARY/);
    assert.match(errors, /NotCapable: Requires ffi access/);
    assert.ok(errors.includes(`run with ${libraryPermission}`), errors);
  }
});

test("a permission for another folder is not enough", { skip: !isDeno }, () => {
  using at = place();
  const file = written(at, EXAMPLES[0] ?? "");
  const { status, errors } = runProgram(at, file, [`--allow-ffi=${at.folder}`]);
  assert.notEqual(status, 0);
  assert.match(errors, /Requires ffi access/);
});

test("the variable counts only with the permission to read it", { skip: !isDeno }, () => {
  using at = place();
  const file = written(at, EXAMPLES[0] ?? "");
  const variables = { LSM_LIBRARY: at.file("no-such-library.so") };
  const ignored = runProgram(at, file, [libraryPermission], variables);
  assert.equal(ignored.status, 0, ignored.errors);
  const permissions = [libraryPermission, `--allow-ffi=${at.folder}`, "--allow-env=LSM_LIBRARY"];
  const read = runProgram(at, file, permissions, variables);
  assert.notEqual(read.status, 0);
  assert.match(read.errors, /LSM_LIBRARY: ".*no-such-library\.so"/);
});

test("the command of the README for a program of one's own works", { skip: !isDeno }, () => {
  const [, flags = ""] = /^deno run (.*) my_program\.ts/m.exec(README) ?? [];
  assert.equal(flags, "--allow-ffi=../lsm/zig-out/lib");
  using at = place();
  const file = written(at, EXAMPLES[0] ?? "");
  const { status, errors } = runProgram(at, file, [flags.replace("../lsm", ROOT)]);
  assert.equal(status, 0, errors);
});

test("with the README's map the import is that of the package", () => {
  const [importMap = "", paths = ""] = blocks(README, "json");
  using at = place();
  const program = at.file("program.ts");
  writeFileSync(program, EXAMPLES[0] ?? "");
  writeFileSync(at.file("deno.json"), importMap.replace("../lsm/mod.ts", DOOR));
  writeFileSync(at.file("tsconfig.json"), paths.replace("../lsm/mod.ts", fileURLToPath(DOOR)));
  const { status, output, errors } = runProgram(at, program);
  assert.equal(status, 0, errors);
  assert.deepEqual(output.trim().split("\n"), promised(EXAMPLES[0] ?? ""));
});

/** The names of the class and its parents. */
function methodNames(): string[] {
  const names: string[] = [];
  let level: object = Lsm.prototype;
  for (; level !== Object.prototype; level = Object.getPrototypeOf(level)) {
    names.push(...Object.getOwnPropertyNames(level).filter((name) => name !== "constructor"));
  }
  return names;
}

test("the guide names every option, and every method of a database", () => {
  const [methods = "", options = ""] = GUIDE.split(/^## /m);
  for (const name of methodNames()) assert.ok(methods.includes(`\`${name}\``), name);
  using at = place();
  using db = new Lsm(at.file());
  for (const name of Object.keys(db.config)) assert.ok(options.includes(`\`${name}\``), name);
});
