/**
 * A control group that limits the memory of one child process, the system's cache of its files
 * included. Linux; made below the group that we are in, so that its own limits stay in force.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import process from "node:process";

/**
 * @typedef {object} MemoryGroup
 * @property {string[]} launcher Words to put before a command.
 * @property {() => number} peak Most bytes in use so far.
 * @property {() => void} remove When the processes in it have ended.
 */

/**
 * @param {number} bytes
 * @returns {MemoryGroup | undefined} undefined: this machine does not let us.
 */
export function makeMemoryGroup(bytes) {
  try {
    return makeGroup(bytes);
  } catch {
    return undefined;
  }
}

/** The first version of control groups has a tree for memory alone, the second one for everything. */
function makeGroup(bytes) {
  const groups = readFileSync("/proc/self/cgroup", "utf8").split("\n");
  const first = groups.map((line) => /^\d+:memory:(.*)$/.exec(line)?.[1]).find(Boolean);
  const second = groups.map((line) => /^0::(.*)$/.exec(line)?.[1]).find(Boolean);
  if (first !== undefined && existsSync(`/sys/fs/cgroup/memory${first}`)) {
    const files = { limit: "memory.limit_in_bytes", peak: "memory.max_usage_in_bytes" };
    return groupIn(`/sys/fs/cgroup/memory${first}`, files, bytes);
  }
  return groupIn(`/sys/fs/cgroup${second}`, { limit: "memory.max", peak: "memory.peak" }, bytes);
}

let count = 0;

function groupIn(parent, { limit, peak }, bytes) {
  const folder = `${parent.replace(/\/$/, "")}/lsm-bench-${process.pid}-${++count}`;
  mkdirSync(folder);
  const remove = () => {
    process.off("exit", remove);
    try {
      rmdirSync(folder);
    } catch {
      console.error(`${folder} could not be removed`);
    }
  };
  process.on("exit", remove);
  try {
    writeFileSync(`${folder}/${limit}`, String(bytes));
    return {
      launcher: ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', folder],
      peak: () => existsSync(`${folder}/${peak}`) ? Number(readFileSync(`${folder}/${peak}`)) : 0,
      remove,
    };
  } catch (error) {
    remove();
    throw error;
  }
}
