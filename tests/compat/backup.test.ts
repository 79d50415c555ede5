/** A copy made here is read by LSM1 record for record, and the independent reader finds nothing wrong with it. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { bytes, Lsm } from "../../mod.ts";
import {
  assertValidFile,
  digest,
  randomNumbers,
  temporaryFolder,
  Witness,
  witnessPackage,
} from "./witness.ts";

const packageFolder = witnessPackage();

test("copies of a database in use are databases of LSM1", { skip: !packageFolder }, async () => {
  const folder = temporaryFolder("backup");
  const witness = new Witness(packageFolder as string);
  const random = randomNumbers(20261127);
  const some = (limit: number) => Uint8Array.from({ length: random(limit) }, () => random(256));
  try {
    for (const pageSize of [1024, 4096]) {
      using db = new Lsm(join(folder, `source-${pageSize}.ldb`), {
        keys: bytes,
        values: bytes,
        pageSize,
        autoFlush: 64 << 10,
      });
      const change = (count: number) => {
        for (let i = 0; i < count; i++) {
          if (random(5) === 0) db.delete(some(3));
          else db.set(some(3), some(random(50) === 0 ? 20_000 : 200));
        }
      };
      change(3000);
      for (let round = 0; round < 3; round++) {
        const copy = join(folder, `copy-${pageSize}-${round}.ldb`);
        const expected = digest(db);
        let isDone = false;
        const copying = db.backup(copy).finally(() => isDone = true);
        while (!isDone) {
          change(10);
          await setImmediate();
        }
        await copying;
        assertValidFile(copy);
        const answer = await witness.ask({ op: "read", path: copy });
        assert.equal(answer.error, undefined);
        assert.deepEqual({ count: answer.count, hash: answer.hash }, expected);
        assert.deepEqual((await Lsm.verify(copy)).problems, [], "also after LSM1 had it open");
      }
    }
  } finally {
    witness.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
