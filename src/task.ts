/**
 * Long work: done in a thread of the engine's, looked at from here now and then.
 *
 * The engine has no way to call JavaScript that both runtimes offer, so its progress is asked for: at once,
 * then after 1, 2, 4, 8 and from then on every 16 milliseconds.
 *
 * @module
 */
import { PROGRESS_SIZE, RESULT } from "../ffi/frames.ts";
import type { Handle } from "../ffi/native.ts";
import type { Connection } from "./connection.ts";
import { closedError } from "./failure.ts";
import type { Doing } from "./failure.ts";
import { Memory } from "./memory.ts";
import { checkOptions } from "./names.ts";
import { describe } from "./packed.ts";

/** How far long work has come. */
export interface Progress {
  /** How much is done. */
  readonly done: number;
  /** How much there is to do: an estimate until the end, where it equals `done`. */
  readonly total: number;
  /** What is counted. */
  readonly unit: "bytes";
}

/** Options of long work. */
export interface ProgressOptions {
  /** Ends it with the signal's reason. */
  signal?: AbortSignal | undefined;
  /**
   * Called at most ten times a second, and once in the end. What it throws ends the work, and is what the
   * promise is rejected with.
   */
  onProgress?: ((progress: Progress) => void) | undefined;
}

const PAUSE_MAX_MS = 16;
const REPORT_INTERVAL_MS = 100;

/** Checks the options of long work. Throws the reason of a signal that is aborted already. */
export function checkProgressOptions(
  options: ProgressOptions,
  names: readonly string[] = [],
): void {
  checkOptions(options, ["signal", "onProgress", ...names]);
  const { signal, onProgress } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`Option signal must be an AbortSignal, not ${describe(signal)}`);
  }
  if (onProgress !== undefined && typeof onProgress !== "function") {
    throw new TypeError(`Option onProgress must be a function, not ${describe(onProgress)}`);
  }
  signal?.throwIfAborted();
}

/**
 * Lets the engine do the work behind a handle, and waits for its end. Whatever happens, the caller ends the
 * handle afterwards, which stops work that has not finished.
 */
export async function finishTask(
  connection: Connection,
  handle: Handle,
  { op, to }: Pick<Doing, "op" | "to">,
  { signal, onProgress }: ProgressOptions,
): Promise<void> {
  const { native } = connection;
  const out = new Memory(PROGRESS_SIZE); // user code runs between two looks
  let reported = -Infinity;
  let milliseconds = 0;

  connection.check(native.run(handle), op, handle);
  await Promise.resolve(); // the caller may think better of it at once, however fast the thread is
  signal?.throwIfAborted();
  for (;;) {
    const result = native.wait(handle, 0, out.bytes, out.size);
    if (result === RESULT.CLOSED) {
      throw closedError({ op, to, path: connection.path }, "the database");
    }
    if (result < 0) connection.fail(result, op, handle, to);
    const progress = readProgress(out);
    if (result === 1) {
      onProgress?.(progress);
      return;
    }
    const now = performance.now();
    if (onProgress !== undefined && progress.total > 0 && now - reported >= REPORT_INTERVAL_MS) {
      reported = now;
      onProgress(progress);
    }
    await pause(signal, milliseconds);
    signal?.throwIfAborted();
    milliseconds = Math.min(Math.max(1, milliseconds * 2), PAUSE_MAX_MS);
  }
}

function readProgress({ words }: Memory): Progress {
  const [doneLow = 0, doneHigh = 0, totalLow = 0, totalHigh = 0] = words;
  return {
    done: doneHigh * 2 ** 32 + doneLow,
    total: totalHigh * 2 ** 32 + totalLow,
    unit: "bytes",
  };
}

/** Lets the event loop turn, for so long or until the signal is aborted. */
export function pause(signal: AbortSignal | undefined, milliseconds = PAUSE_MAX_MS): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener("abort", end);
  });
}
