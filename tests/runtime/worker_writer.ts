/**
 * A worker of `workers.test.ts`: does what the message says, with an `Lsm` of its own, and tells when.
 *
 * @module
 */
import { parentPort } from "node:worker_threads";
import { Lsm } from "../../mod.ts";

/** What a worker is to do. */
export type Job =
  | { readonly do: "write"; readonly path: string; readonly keys: readonly string[] }
  | { readonly do: "incr"; readonly path: string; readonly times: number }
  | { readonly do: "hold"; readonly path: string }
  | { readonly do: "backup"; readonly path: string; readonly to: string };

parentPort?.on("message", (job: Job) => {
  switch (job.do) {
    case "write": {
      using db = new Lsm(job.path, { busyTimeout: 60_000 });
      for (const key of job.keys) db.set(key, key);
      break;
    }
    case "incr": {
      using db = new Lsm(job.path, { busyTimeout: 60_000 });
      for (let i = 0; i < job.times; i++) db.incr("n");
      break;
    }
    case "hold": { // until it is terminated
      const db = new Lsm(job.path);
      db.begin();
      db.set("held", "by the worker");
      break;
    }
    case "backup": { // the same: what it began goes on in a thread of the engine's
      void new Lsm(job.path).backup(job.to);
      break;
    }
  }
  parentPort?.postMessage("done");
});
