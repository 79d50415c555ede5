/**
 * Checking a database file, page by page.
 *
 * @module
 */
import {
  padded,
  PROBLEM_HEAD_SIZE,
  REPORT_FIELD,
  REPORT_HEAD_SIZE,
  RESULT,
  VERIFY_LISTED_MAX,
} from "../ffi/frames.ts";
import { Connection } from "./connection.ts";
import { LsmCorruptError, LsmError } from "./errors.ts";
import { Memory } from "./memory.ts";
import { openingSettings } from "./options.ts";
import type { OpeningOptions } from "./options.ts";
import { toPath } from "./path.ts";
import { checkProgressOptions, finishTask } from "./task.ts";
import type { ProgressOptions } from "./task.ts";

/** Something that is wrong with a file. */
export interface VerifyProblem {
  /** The page concerned; undefined if it is the file as a whole. */
  readonly page: number | undefined;
  /** What is wrong there. */
  readonly reason: string;
}

/** What a verification found, as `db.verify()` gives it. */
export interface VerifyReport {
  /** Nothing is wrong. */
  readonly ok: boolean;
  /** The first thousand problems. */
  readonly problems: readonly VerifyProblem[];
  /** All problems. One piece of damage may be the reason of several. */
  readonly problemCount: number;
  /** Records in the file: entries, those replaced or deleted since included. */
  readonly records: number;
  /** Sorted runs in the file. */
  readonly segments: number;
  /** Pages of them that were read. */
  readonly pages: number;
}

/** Options of `Lsm.verify()`. */
export interface VerifyFileOptions extends ProgressOptions, Pick<OpeningOptions, "library"> {}

const EMPTY: Omit<VerifyReport, "problems" | "problemCount"> = {
  ok: false,
  records: 0,
  segments: 0,
  pages: 0,
};

/** Checks the file of an open database. */
export async function verifyOpen(
  connection: Connection,
  options: ProgressOptions,
): Promise<VerifyReport> {
  checkProgressOptions(options);
  return await verify(connection, options);
}

/** Checks a file that need not be a database. Nothing is written to it. */
export async function verifyFile(
  path: string | URL,
  options: VerifyFileOptions,
): Promise<VerifyReport> {
  const file = toPath(path);
  checkProgressOptions(options, ["library"]);
  const { library } = options;
  const settings = openingSettings({ readOnly: true, createIfMissing: false, library });
  const connection = new Connection(file, settings, library);
  try {
    connection.open();
    return await verify(connection, options);
  } catch (error) {
    return unreadable(error);
  } finally {
    connection.close();
  }
}

/** The report on a file that cannot be opened because of what is in it. Other errors are thrown. */
function unreadable(error: unknown): VerifyReport {
  if (error instanceof LsmCorruptError) {
    const { page, reason } = error;
    return { ...EMPTY, problems: [{ page, reason }], problemCount: 1 };
  }
  if (!(error instanceof LsmError) || error.code !== "LSM_NOTADB") throw error;
  const reason = "the file is not a database, or both copies of its head are damaged";
  return { ...EMPTY, problems: [{ page: undefined, reason }], problemCount: 1 };
}

async function verify(connection: Connection, options: ProgressOptions): Promise<VerifyReport> {
  const parent = connection.use("verify");
  const { native } = connection;
  const handle = native.verify(parent);
  if (handle === 0) throw connection.failedToMake("verify", parent);
  try {
    await finishTask(connection, handle, { op: "verify" }, options);
    let report = new Memory(4 << 10);
    const size = native.verifyReport(handle, report.bytes, report.size);
    if (size === RESULT.TOO_SMALL) report = connection.take("verify", handle).memory;
    else connection.check(size, "verify", handle);
    return readReport(report);
  } finally {
    native.end(handle);
  }
}

/** Reads the frame of `lsm_bulk_verify_report`. */
function readReport({ words, text }: Memory): VerifyReport {
  const field = (index: number) => words[index] ?? 0;
  const wide = (low: number) => field(low + 1) * 2 ** 32 + field(low);
  const problemCount = field(REPORT_FIELD.PROBLEMS);
  const problems: VerifyProblem[] = [];
  let at = REPORT_HEAD_SIZE;
  while (problems.length < Math.min(problemCount, VERIFY_LISTED_MAX)) {
    const page = wide(at >> 2);
    const start = at + PROBLEM_HEAD_SIZE;
    const end = start + field((at >> 2) + 2);
    problems.push({
      page: page === 0 ? undefined : page,
      reason: text.toString("utf8", start, end),
    });
    at = padded(end);
  }
  return {
    ok: problemCount === 0,
    problems,
    problemCount,
    records: wide(REPORT_FIELD.RECORDS_LOW),
    segments: field(REPORT_FIELD.SEGMENTS),
    pages: wide(REPORT_FIELD.PAGES_LOW),
  };
}
