/**
 * Frozen views of a database.
 *
 * @module
 */
import type { Handle } from "../ffi/native.ts";
import type { Connection, View } from "./connection.ts";
import { closedError } from "./failure.ts";
import { endWhenForgotten, remembered } from "./finalizers.ts";
import type { Packed, PackedKey } from "./packed.ts";
import { ReadingView } from "./reader.ts";

/**
 * The state of a database at one moment, made by `db.snapshot()`. Later commits do not show in it, not
 * even one's own. It pins disk space: close it, or declare it with `using`. The engine tells six
 * states apart that are being read; further ones are possible, but pin as much as an older one
 * does.
 *
 * @example
 * ```ts
 * import { Lsm } from "@lsmdb/lsm";
 * using db = new Lsm("example.ldb");
 * db.set("state", "old");
 * using before = db.snapshot();
 * db.set("state", "new");
 * console.log(before.get("state"), db.get("state")); // old new
 * ```
 */
export class Snapshot<K, V> extends ReadingView<K, V> implements Disposable {
  readonly #view: SnapshotView;

  /** Made by `db.snapshot()`. */
  constructor(connection: Connection, keys: PackedKey<K>, values: Packed<V>) {
    const view = new SnapshotView(connection);
    super({ view, keys, values });
    this.#view = view;
  }

  /** False after `close`, and when the database has been closed. */
  get isOpen(): boolean {
    return this.#view.handle !== 0;
  }

  /** True if this call closed it. Ends the iterators and cursors that were opened from it. */
  close(): boolean {
    return this.#view.close();
  }

  /** Closes it at the end of a block that declares it with `using`. */
  [Symbol.dispose](): void {
    this.#view.close();
  }
}

/** A frozen state of a connection. Exported for tests. */
export class SnapshotView implements View {
  readonly connection: Connection;
  readonly isFrozen = true;
  readonly children: Set<Handle> = new Set();
  readonly #parent: Handle;
  #handle: Handle;

  constructor(connection: Connection) {
    this.connection = connection;
    this.#parent = connection.use("snapshot");
    this.#handle = connection.native.snapshot(this.#parent);
    if (this.#handle === 0) throw connection.failedToMake("snapshot", this.#parent);
    endWhenForgotten(this, this.#handle);
  }

  get handle(): Handle {
    return this.connection.handle === this.#parent ? this.#handle : 0;
  }

  use(op: string): Handle {
    this.connection.use(op); // a closed database is the better reason
    const { handle } = this;
    if (handle !== 0) return handle;
    throw closedError({ op, path: this.connection.path }, "the snapshot");
  }

  close(): boolean {
    const wasOpen = this.handle !== 0;
    if (this.#handle === 0) return false;
    const { native } = this.connection;
    if (wasOpen) { // else they ended with the database
      for (const child of this.children) native.end(child);
      native.end(this.#handle);
    }
    this.children.clear();
    this.#handle = 0;
    remembered(this);
    return wasOpen;
  }
}
