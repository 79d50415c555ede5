/** `ok`: everything a reviewer asks for. Runs to the end and then says what failed. */
import { ensureReady } from "../bootstrap/ready.mjs";
import { runCTests } from "../ctest.mjs";
import { checkSteps } from "./check.mjs";
import { cross } from "./cross.mjs";
import { runSteps } from "./steps.mjs";
import { test } from "./test.mjs";

/** With `--without-tests` the suite of `test` is left out: .ci/run has just run it. */
export async function ok(args) {
  const { deno } = await ensureReady({ libraries: true, runtimes: true });
  const steps = [
    ...checkSteps(deno),
    { name: "cross build", work: cross },
    { name: "canary", work: () => failedOf(runCTests({ canary: true })) },
    { name: "thread sanitizer", work: () => failedOf(runCTests({ tsan: true })) },
  ];
  if (!args.includes("--without-tests")) steps.push({ name: "tests", work: () => test([]) });
  return runSteps(steps);
}

async function failedOf(result) {
  const { passed, failed } = await result;
  if (failed > 0) return `${passed} passed, ${failed} failed`;
  return undefined;
}
