/**
 * The C signatures of `csrc/lsm_bulk.h` as one neutral table. `deno.ts` and `bun.ts` turn it into what
 * their runtime wants; `tests/runtime/header.test.ts` compares it with the header.
 *
 * @module
 */
import type { Native } from "./native.ts";

/** The only types that cross: numbers of 32 bits, and memory of ours. */
export type NativeType = "u32" | "i32" | "buffer";

/** One C function. */
export interface Signature {
  readonly parameters: readonly NativeType[];
  readonly result: NativeType | "void";
}

/** Every function of the header, by its C name, in the header's order. */
export const SYMBOLS = {
  lsm_bulk_abi: { parameters: [], result: "u32" },
  lsm_bulk_new: { parameters: [], result: "u32" },
  lsm_bulk_config: { parameters: ["u32", "i32", "i32"], result: "i32" },
  lsm_bulk_open: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_destroy: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_close: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_error: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_pending: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_take: { parameters: ["u32", "u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_get: { parameters: ["u32", "buffer", "u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_has: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_get_many: {
    parameters: ["u32", "u32", "u32", "buffer", "u32", "buffer", "u32"],
    result: "i32",
  },
  lsm_bulk_seek: { parameters: ["u32", "u32", "buffer", "u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_put: { parameters: ["u32", "buffer", "u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_delete: { parameters: ["u32", "u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_apply: { parameters: ["u32", "u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_add: {
    parameters: ["u32", "buffer", "u32", "u32", "u32", "buffer", "u32"],
    result: "i32",
  },
  lsm_bulk_begin: { parameters: ["u32", "i32"], result: "i32" },
  lsm_bulk_commit: { parameters: ["u32", "i32"], result: "i32" },
  lsm_bulk_rollback: { parameters: ["u32", "i32"], result: "i32" },
  lsm_bulk_depth: { parameters: ["u32"], result: "i32" },
  lsm_bulk_snapshot: { parameters: ["u32"], result: "u32" },
  lsm_bulk_end: { parameters: ["u32"], result: "i32" },
  lsm_bulk_scan: {
    parameters: ["u32", "u32", "u32", "buffer", "u32", "buffer", "u32", "buffer", "u32"],
    result: "u32",
  },
  lsm_bulk_scan_next: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_count: {
    parameters: ["u32", "u32", "u32", "buffer", "u32", "buffer", "u32", "buffer", "u32"],
    result: "i32",
  },
  lsm_bulk_cursor: { parameters: ["u32"], result: "u32" },
  lsm_bulk_cursor_seek: {
    parameters: ["u32", "u32", "buffer", "u32", "buffer", "u32"],
    result: "i32",
  },
  lsm_bulk_cursor_move: { parameters: ["u32", "u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_flush: { parameters: ["u32"], result: "i32" },
  lsm_bulk_work: { parameters: ["u32", "i32", "i32"], result: "i32" },
  lsm_bulk_checkpoint: { parameters: ["u32"], result: "i32" },
  lsm_bulk_user_version: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_set_user_version: { parameters: ["u32", "u32"], result: "i32" },
  lsm_bulk_info: { parameters: ["u32", "i32", "u32", "u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_stats: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_verify: { parameters: ["u32"], result: "u32" },
  lsm_bulk_verify_report: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_backup: { parameters: ["u32", "buffer", "u32", "u32"], result: "u32" },
  lsm_bulk_backup_step: { parameters: ["u32", "u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_run: { parameters: ["u32"], result: "i32" },
  lsm_bulk_wait: { parameters: ["u32", "u32", "buffer", "u32"], result: "i32" },
  lsm_bulk_shutdown: { parameters: [], result: "void" },
} as const satisfies Record<string, Signature>;

/** Name of a C function. */
export type SymbolName = keyof typeof SYMBOLS;

/** The JavaScript type that stands for a C type. */
type Value<T> = T extends "buffer" ? Uint8Array : T extends "void" ? void : number;
type Values<P extends readonly NativeType[]> = { -readonly [I in keyof P]: Value<P[I]> };

/** What both runtimes make of the table: one function per C name. */
export type Functions = {
  readonly [N in SymbolName]: (
    ...values: Values<(typeof SYMBOLS)[N]["parameters"]>
  ) => Value<(typeof SYMBOLS)[N]["result"]>;
};

/**
 * Gives the functions their names in TypeScript. The functions themselves are handed on, not wrapped:
 * a call costs what the runtime makes it cost. The compiler compares `Native` with the table here.
 */
export function named(functions: Functions): Native {
  return {
    abi: functions.lsm_bulk_abi,
    create: functions.lsm_bulk_new,
    config: functions.lsm_bulk_config,
    open: functions.lsm_bulk_open,
    destroy: functions.lsm_bulk_destroy,
    close: functions.lsm_bulk_close,
    error: functions.lsm_bulk_error,
    pending: functions.lsm_bulk_pending,
    take: functions.lsm_bulk_take,
    get: functions.lsm_bulk_get,
    has: functions.lsm_bulk_has,
    getMany: functions.lsm_bulk_get_many,
    seek: functions.lsm_bulk_seek,
    put: functions.lsm_bulk_put,
    delete: functions.lsm_bulk_delete,
    apply: functions.lsm_bulk_apply,
    add: functions.lsm_bulk_add,
    begin: functions.lsm_bulk_begin,
    commit: functions.lsm_bulk_commit,
    rollback: functions.lsm_bulk_rollback,
    depth: functions.lsm_bulk_depth,
    snapshot: functions.lsm_bulk_snapshot,
    end: functions.lsm_bulk_end,
    scan: functions.lsm_bulk_scan,
    scanNext: functions.lsm_bulk_scan_next,
    count: functions.lsm_bulk_count,
    cursor: functions.lsm_bulk_cursor,
    cursorSeek: functions.lsm_bulk_cursor_seek,
    cursorMove: functions.lsm_bulk_cursor_move,
    flush: functions.lsm_bulk_flush,
    work: functions.lsm_bulk_work,
    checkpoint: functions.lsm_bulk_checkpoint,
    userVersion: functions.lsm_bulk_user_version,
    setUserVersion: functions.lsm_bulk_set_user_version,
    info: functions.lsm_bulk_info,
    stats: functions.lsm_bulk_stats,
    verify: functions.lsm_bulk_verify,
    verifyReport: functions.lsm_bulk_verify_report,
    backup: functions.lsm_bulk_backup,
    backupStep: functions.lsm_bulk_backup_step,
    run: functions.lsm_bulk_run,
    wait: functions.lsm_bulk_wait,
    shutdown: functions.lsm_bulk_shutdown,
  };
}
