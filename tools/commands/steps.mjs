/** Runs named steps one after the other, all of them, and says at the end which failed. */
export async function runSteps(steps) {
  const failed = [];
  for (const { name, work } of steps) {
    const start = performance.now();
    let problem;
    try {
      problem = await work();
    } catch (error) {
      problem = error.message;
    }
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(`${problem ? "FAIL" : "ok  "}  ${name} (${seconds} s)`);
    if (typeof problem === "string") console.log(problem.trimEnd().replace(/^/gm, "      "));
    if (problem) failed.push(name);
  }
  if (failed.length > 0) console.log(`\nFailed: ${failed.join(", ")}`);
  return failed.length > 0 ? 1 : 0;
}
