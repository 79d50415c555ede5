/**
 * A writer with `safety: "full"` is killed at random moments, over and over on one database. After each death this
 * engine and LSM1 recover the same content, and every commit that was acknowledged is in it.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, existsSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Lsm } from "../../mod.ts";
import { applyTo } from "./kill_history.ts";
import { digest, randomNumbers, temporaryFolder, Witness, witnessPackage } from "./witness.ts";

const HERE = dirname(fileURLToPath(import.meta.url));
const SEED = Number(process.env.LSM_TEST_SEED ?? Date.now() % 1_000_000);
/** Two hundred kills where starting a process is quick, fewer where every start compiles the module anew. */
const KILLS = Number(process.env.LSM_KILLS ?? ("Bun" in globalThis ? 200 : 25));
const packageFolder = witnessPackage();

function writerCommand(path: string): string[] {
  const script = join(HERE, "kill_writer.ts");
  if ("Bun" in globalThis) return [process.execPath, "run", script, path];
  return [process.execPath, "run", "--no-check", "--no-prompt", "-A", script, path];
}

/** Runs the writer until it is killed `delay` ms after its first commit; the last number it acknowledged. */
function killedWriter(path: string, delay: number): Promise<number> {
  const [program, ...args] = writerCommand(path);
  const child = spawn(program ?? "", args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let errors = "";
  let started = false;
  child.stdout?.setEncoding("utf8");
  child.stderr?.setEncoding("utf8");
  child.stderr?.on("data", (chunk: string) => errors += chunk);
  child.stdout?.on("data", (chunk: string) => {
    output += chunk;
    if (!started) {
      started = true;
      setTimeout(() => child.kill("SIGKILL"), delay);
    }
  });
  return new Promise((resolve, reject) => {
    child.on("close", (code) => {
      if (!started) return reject(new Error(`the writer ended with ${code}: ${errors}`));
      const lines = output.split("\n");
      lines.pop(); // what follows the last newline is not a whole acknowledgement
      resolve(Number(lines.at(-1) ?? "0"));
    });
  });
}

const encoder = new TextEncoder();

function digestOf(entries: Iterable<readonly [string, string]>): { count: number; hash: string } {
  return digest([...entries].map(([k, v]) => [encoder.encode(k), encoder.encode(v)]));
}

describe(`${KILLS} kills, seed ${SEED}`, {
  skip: packageFolder ? false : "no lsm-db wheel for this Python",
}, () => {
  let folder: string;
  let witness: Witness;
  before(() => {
    folder = temporaryFolder("kill");
    witness = new Witness(packageFolder ?? "");
  });
  after(() => {
    witness.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test(
    "every acknowledged commit is there, and LSM1 recovers the same",
    { timeout: 600_000 },
    async () => {
      const random = randomNumbers(SEED);
      const path = join(folder, "kill.ldb");
      const model = new Map<string, string>();
      let done = 0;
      for (let kill = 0; kill < KILLS; kill++) {
        const acknowledged = await killedWriter(path, random(40));
        for (const copy of ["ours", "theirs"]) {
          copyFileSync(path, join(folder, `${copy}.ldb`));
          if (existsSync(`${path}-log`)) {
            copyFileSync(`${path}-log`, join(folder, `${copy}.ldb-log`));
          }
        }
        using db = new Lsm(join(folder, "ours.ldb"));
        const recovered = Number(db.get("~counter") ?? "0");
        assert.ok(
          recovered === acknowledged || recovered === acknowledged + 1,
          `kill ${kill}: ${acknowledged} acknowledged, ${recovered} recovered`,
        );
        while (done < recovered) {
          applyTo(model, ++done);
        }
        const expected = digestOf([...model].sort(([a], [b]) => (a < b ? -1 : 1)));
        assert.deepEqual(
          digestOf(db),
          expected,
          `kill ${kill}: content after transaction ${recovered}`,
        );
        const answer = await witness.ask({ op: "read", path: join(folder, "theirs.ldb") });
        assert.equal(answer.error, undefined);
        assert.deepEqual(
          { count: answer.count, hash: answer.hash },
          expected,
          `kill ${kill}: LSM1`,
        );
        db.close();
        for (const copy of ["ours", "theirs"]) {
          rmSync(join(folder, `${copy}.ldb`), { force: true });
          rmSync(join(folder, `${copy}.ldb-log`), { force: true });
        }
      }
    },
  );
});
