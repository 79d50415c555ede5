/** What Deno may do in tests, demo and benchmarks: never more, and never a question. */
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ROOT } from "./project.mjs";

/** The library itself needs this one permission and no other. */
export function libraryPermission(library) {
  return ["--no-prompt", `--allow-ffi=${dirname(library)}`];
}

/** Tests also make files in the temporary folder and start other programs. */
export function testPermissions(library) {
  const write = [tmpdir(), join(ROOT, ".cache")].join(",");
  return [
    ...libraryPermission(library),
    "--allow-read",
    `--allow-write=${write}`,
    "--allow-env",
    "--allow-sys",
    "--allow-run",
  ];
}

/** The demo reads its data and writes one database. */
export function demoPermissions(library) {
  const write = [tmpdir(), join(ROOT, ".cache")].join(",");
  return [...libraryPermission(library), "--allow-read", `--allow-write=${write}`, "--allow-env"];
}
