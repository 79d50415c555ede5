/**
 * Installing npm packages exactly as a lock file says, with whatever package manager is here:
 * npm, else the Deno or Bun this script runs in. Install scripts never run.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { hashOf, isDone, setDone } from "./marker.mjs";
import { IS_WINDOWS } from "./project.mjs";
import { Failure, outputOf, run } from "./run.mjs";

/**
 * Installs the packages of `folder` unless its marker says that it is done.
 *
 * @returns {Promise<boolean>} Whether anything was installed.
 */
export async function installPackages(folder, title) {
  const lock = join(folder, "package-lock.json");
  const marker = join(folder, "node_modules", ".lsm-done");
  const hash = hashOf([join(folder, "package.json"), lock], [process.platform, process.arch]);
  if (isDone(marker, hash)) return false;

  const { program, args, shell, env } = installer();
  console.error(`Installing ${title} ...`);
  const { code, output } = await run(program, args, { cwd: folder, capture: true, shell, env });
  if (code !== 0) {
    throw new Failure(
      `Cannot install ${title} in ${folder} (code ${code}):\n${output}`,
      "check the network and the npm registry setting, then run the same command again",
    );
  }
  setDone(marker, hash);
  return true;
}

function installer() {
  const npm = findNpm();
  if (npm) {
    const flags = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    return { ...npm, args: [...npm.args, ...flags], env: npmEnv() };
  }
  if (globalThis.Deno) {
    // Deno reads package.json beside it; a lock of its own would have to be kept by hand.
    return { program: process.execPath, args: ["install", "--no-lock", "--quiet"], shell: false };
  }
  if (globalThis.Bun) {
    const args = ["install", "--no-save", "--ignore-scripts", "--silent"];
    return { program: process.execPath, args, shell: false };
  }
  throw new Failure("npm was not found", "install Node.js with npm, or Deno, or Bun");
}

/**
 * npm needs a cache folder, also where there is no home folder. A prefix given to the npm that started
 * us (`npm --prefix DIR run demo`) is not for the npm we start: it would hide npm's own settings.
 */
function npmEnv() {
  const { npm_config_prefix: prefix, npm_config_local_prefix: local } = process.env;
  const names = prefix && prefix === local ? ["prefix", "global_prefix", "globalconfig"] : [];
  const env = Object.fromEntries(names.map((name) => [`npm_config_${name}`, undefined]));
  if (process.env.HOME || IS_WINDOWS) return env;
  const cache = join(process.env.TMPDIR || "/tmp", `npm-cache-${process.getuid?.() ?? 0}`);
  return { ...env, npm_config_cache: process.env.npm_config_cache ?? cache };
}

/** npm as a script of the Node beside it, which needs no shell on Windows; else npm on PATH. */
function findNpm() {
  const script = process.env.npm_execpath;
  const isNode = !globalThis.Deno && !globalThis.Bun;
  if (isNode && script && /npm-cli\.c?js$/.test(script) && existsSync(script)) {
    return { program: process.execPath, args: [script], shell: false };
  }
  if (isNode && IS_WINDOWS) {
    const beside = join(dirname(process.execPath), "node_modules", "npm", "bin", "npm-cli.js");
    if (existsSync(beside)) return { program: process.execPath, args: [beside], shell: false };
  }
  if (IS_WINDOWS) {
    return outputOf("cmd", ["/d", "/s", "/c", "npm --version"])
      ? { program: "npm", args: [], shell: true }
      : undefined;
  }
  return outputOf("npm", ["--version"]) ? { program: "npm", args: [], shell: false } : undefined;
}
