/**
 * A lock folder that keeps two bootstraps of one tree apart.
 *
 * Making a folder is atomic everywhere. Its holder writes its process id inside and touches it while
 * it works; a lock whose process is gone, or that nobody touched for a minute, is taken over.
 */
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { CACHE } from "./project.mjs";

const LOCK = join(CACHE, "bootstrap.lock");
const STALE_MS = 60_000;
const TOUCH_MS = 5_000;
const POLL_MS = 250;

/** Runs `work` while holding the lock of this tree. */
export async function withLock(work) {
  await acquire();
  const timer = setInterval(touch, TOUCH_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    rmSync(LOCK, { recursive: true, force: true });
  }
}

async function acquire() {
  mkdirSync(dirname(LOCK), { recursive: true });
  let told = false;
  while (true) {
    try {
      mkdirSync(LOCK);
      writeFileSync(join(LOCK, "pid"), String(process.pid));
      return;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    if (isStale()) {
      takeAway();
      continue;
    }
    if (!told) console.error("Waiting for another bootstrap of this folder to end ...");
    told = true;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Renames before removing: of two who find the same stale lock, only one succeeds. */
function takeAway() {
  const aside = `${LOCK}.stale-${process.pid}`;
  try {
    renameSync(LOCK, aside);
    rmSync(aside, { recursive: true, force: true });
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
}

function isStale() {
  try {
    if (Date.now() - statSync(LOCK).mtimeMs > STALE_MS) return true;
    const file = join(LOCK, "pid");
    if (!existsSync(file)) return false; // between its mkdir and its write
    const pid = Number(readFileSync(file, "utf8"));
    return Number.isInteger(pid) && pid > 0 && !isAlive(pid);
  } catch (error) {
    if (error.code === "ENOENT") return false;
    throw error;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

function touch() {
  const now = new Date();
  try {
    utimesSync(LOCK, now, now);
  } catch {
    // Taken away by hand: the work in progress ends all the same.
  }
}
