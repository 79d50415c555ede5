/**
 * Runs whole programs, in Deno with exactly the permissions given.
 *
 * For a Deno that is started from Deno through `node:child_process` the parent adds all permissions; so it
 * is started through `Deno.Command`, which adds none. `readme.test.ts` proves that it does not.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { dirname } from "node:path";
import process from "node:process";
import { version } from "../../mod.ts";
import type { Place } from "./support.ts";

/** The part of the `Deno` object used here. */
interface DenoNamespace {
  readonly Command: new (program: string, options: unknown) => {
    outputSync(): { code: number; stdout: Uint8Array; stderr: Uint8Array };
  };
}

const { Deno: deno } = globalThis as { Deno?: DenoNamespace };

/** Does this process run in Deno? Elsewhere there are no permissions. */
export const isDeno: boolean = deno !== undefined;

/** The one permission that the library needs. */
export const libraryPermission = `--allow-ffi=${dirname(version.library)}`;

/** How a program ended. */
export interface Outcome {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

/** Runs a program in the folder of a test. */
export function runProgram(
  at: Place,
  file: string,
  permissions: readonly string[] = [libraryPermission],
  variables: Readonly<Record<string, string>> = {},
): Outcome {
  if (deno !== undefined) {
    const args = ["run", "--no-prompt", "--no-check", ...permissions, file];
    const options = { args, cwd: at.folder, env: { NO_COLOR: "1", ...variables } };
    const { code, stdout, stderr } = new deno.Command(process.execPath, options).outputSync();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { status: code, output: text(stdout), errors: text(stderr) };
  }
  const { status, stdout, stderr } = spawnSync(process.execPath, ["run", file], {
    cwd: at.folder,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1", ...variables },
  });
  return { status, output: stdout, errors: stderr };
}
