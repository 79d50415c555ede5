// Random programs against a sorted map: nested transactions, snapshots, iterators, cursors, flushes and
// merges at any moment. A failure prints its seed; run it again with LSM_TEST_SEED, longer with LSM_TEST_RUNS.
import assert from "node:assert/strict";
import { test } from "node:test";
import process from "node:process";
import fc from "fast-check";
import { Lsm } from "../../mod.ts";
import type { BatchOp, Cursor, KeyRange, LsmIterator, SeekMode, Snapshot } from "../../mod.ts";
import { place } from "./support.ts";

type Entry = [key: string, value: string];
type Content = ReadonlyMap<string, string>;

const key = fc.string({ unit: fc.constantFrom("a", "b", "\0", "é"), maxLength: 3 });
const value = fc.oneof(
  { weight: 8, arbitrary: fc.string({ maxLength: 8 }) },
  { weight: 1, arbitrary: fc.nat(3).map((n) => "x".repeat(1500 * n)) },
);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const bounds = fc.record({ gt: maybe(key), gte: maybe(key), lt: maybe(key), lte: maybe(key) });
const range = fc.record({
  gt: maybe(key),
  gte: maybe(key),
  lt: maybe(key),
  lte: maybe(key),
  prefix: maybe(key),
  reverse: maybe(fc.boolean()),
  limit: maybe(fc.nat(6)),
});
const mode = fc.constantFrom<SeekMode>("eq", "le", "ge", "lt", "gt");
const op = fc.oneof(
  fc.record({ type: fc.constant("set" as const), key, value }),
  fc.record({ type: fc.constant("delete" as const), key }),
  fc.record({ type: fc.constant("deleteRange" as const), range: bounds.filter(isBounded) }),
);

const step = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant("set" as const), key, value }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("delete" as const), key }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("batch" as const), ops: fc.array(op) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("deleteSome" as const), limit: fc.nat(4) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("get" as const), key }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("seek" as const), key, mode }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("getMany" as const), keys: fc.array(key) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("entries" as const), range }) },
  { weight: 4, arbitrary: fc.constant({ do: "begin" as const }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("commit" as const), chain: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("rollback" as const), chain: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.constant({ do: "snapshot" as const }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("useSnapshot" as const), range }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("iterate" as const), range }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("next" as const), index: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.constant({ do: "cursor" as const }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("cursorSeek" as const), key, mode }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("cursorMove" as const), up: fc.boolean() }) },
  { weight: 2, arbitrary: fc.constant({ do: "flush" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "work" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "checkpoint" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "reopen" as const }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** May it be deleted? Not if it is everything; an empty lower bound is none. */
function isBounded({ gt, gte, lt, lte }: KeyRange<string>): boolean {
  return lt !== undefined || lte !== undefined || (gte ?? gt ?? "") !== "";
}

/** Order of the encoded bytes: by code point, which for these keys is that of UTF-16 units. */
function byKey([left]: Entry, [right]: Entry): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function select(content: Content, range: KeyRange<string>): Entry[] {
  const { gt, gte, lt, lte, prefix = "", reverse = false, limit = Infinity } = range;
  const found = [...content].sort(byKey).filter(([key]) =>
    (gte !== undefined ? key >= gte : gt === undefined || key > gt) &&
    (lte !== undefined ? key <= lte : lt === undefined || key < lt) &&
    key.startsWith(prefix)
  );
  return (reverse ? found.reverse() : found).slice(0, limit);
}

function nearest(content: Content, key: string, mode: SeekMode): Entry | undefined {
  const entries = [...content].sort(byKey);
  switch (mode) {
    case "eq":
      return entries.find(([each]) => each === key);
    case "le":
      return entries.findLast(([each]) => each <= key);
    case "lt":
      return entries.findLast(([each]) => each < key);
    case "ge":
      return entries.find(([each]) => each >= key);
    case "gt":
      return entries.find(([each]) => each > key);
  }
}

/** An iterator, and what it must still give: fixed if frozen, worked out at each step if live. */
interface Iterating {
  readonly iterator: LsmIterator<Entry>;
  readonly range: KeyRange<string>;
  readonly frozen: Content | undefined;
  given: number;
  last: string | undefined;
}

/** The database and its model, side by side. */
class World {
  readonly #path: string;
  #db: Lsm;
  /** What is committed, and above it one map per open transaction. */
  #levels: Map<string, string>[] = [new Map()];
  #snapshots: { snapshot: Snapshot<string, string>; content: Content }[] = [];
  #iterators: Iterating[] = [];
  #cursor:
    | { cursor: Cursor<string, string>; frozen: Content | undefined; at: string | undefined }
    | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#db = this.#open();
  }

  #open(): Lsm {
    return new Lsm(this.#path, {
      pageSize: 256,
      autoFlush: 4096,
      autoCheckpoint: 8192,
      safety: "off",
    });
  }

  get #now(): Map<string, string> {
    return this.#levels.at(-1) as Map<string, string>;
  }

  get #depth(): number {
    return this.#levels.length - 1;
  }

  run(step: Step): void {
    const db = this.#db;
    const now = this.#now;
    switch (step.do) {
      case "set":
        db.set(step.key, step.value);
        now.set(step.key, step.value);
        break;
      case "delete":
        assert.equal(db.delete(step.key), now.delete(step.key));
        break;
      case "batch":
        db.batch(step.ops);
        for (const each of step.ops) apply(now, each);
        break;
      case "deleteSome":
        db.deleteRange({ limit: step.limit });
        for (const [key] of select(now, { limit: step.limit })) now.delete(key);
        break;
      case "get":
        assert.equal(db.get(step.key), now.get(step.key));
        assert.equal(db.has(step.key), now.has(step.key));
        break;
      case "seek":
        assert.deepEqual(db.seek(step.key, step.mode), nearest(now, step.key, step.mode));
        break;
      case "getMany":
        assert.deepEqual(db.getMany(step.keys), step.keys.map((key) => now.get(key)));
        break;
      case "entries": {
        const expected = select(now, step.range);
        assert.deepEqual([...db.entries(step.range)], expected);
        assert.equal(db.count(step.range), expected.length);
        break;
      }
      case "begin":
        this.#levels.push(new Map(now));
        assert.equal(db.begin(), this.#depth);
        break;
      case "commit":
        assert.equal(db.commit({ chain: step.chain }), this.#depth > 0);
        this.#end(true, step.chain);
        break;
      case "rollback":
        assert.equal(db.rollback({ chain: step.chain }), this.#depth > 0);
        this.#end(false, step.chain);
        break;
      case "snapshot":
        if (this.#snapshots.length === 3) this.#snapshots.shift()?.snapshot.close();
        this.#snapshots.push({ snapshot: db.snapshot(), content: new Map(this.#levels[0]) });
        break;
      case "useSnapshot":
        for (const { snapshot, content } of this.#snapshots) {
          assert.deepEqual([...snapshot.entries(step.range)], select(content, step.range));
        }
        break;
      case "iterate":
        if (this.#iterators.length === 3) this.#iterators.shift()?.iterator.return();
        this.#iterators.push({
          iterator: db.entries(step.range),
          range: step.range,
          frozen: this.#frozen(),
          given: 0,
          last: undefined,
        });
        break;
      case "next":
        this.#next(this.#iterators[step.index]);
        break;
      case "cursor":
        this.#cursor?.cursor.close();
        this.#cursor = { cursor: db.cursor(), frozen: this.#frozen(), at: undefined };
        this.#arrive(this.#cursor.cursor.first(), "", "ge");
        break;
      case "cursorSeek":
        if (this.#cursor !== undefined) {
          this.#arrive(this.#cursor.cursor.seek(step.key, step.mode), step.key, step.mode);
        }
        break;
      case "cursorMove":
        this.#move(step.up);
        break;
      case "flush":
        if (this.#depth === 0) db.flush();
        break;
      case "work":
        if (this.#depth === 0) db.work({ merge: 2 });
        break;
      case "checkpoint":
        db.checkpoint();
        break;
      case "reopen":
        this.#reopen();
        break;
    }
    assert.equal(this.#db.transactionDepth, this.#depth);
  }

  /** The content an iterator or cursor made now will show for ever; undefined: it is live. */
  #frozen(): Content | undefined {
    return this.#depth === 0 ? new Map(this.#now) : undefined;
  }

  #end(isCommit: boolean, chain: boolean): void {
    if (this.#depth === 0) return;
    const top = this.#levels.pop() as Map<string, string>;
    if (isCommit) this.#levels[this.#depth] = top;
    if (chain) this.#levels.push(new Map(this.#now));
    // Live ones may belong to the level that ended; those of a level below go on, which is tested elsewhere.
    this.#iterators = this.#iterators.filter(({ frozen }) => frozen !== undefined);
    if (this.#cursor?.frozen === undefined) this.#cursor = undefined;
  }

  #next(iterating: Iterating | undefined): void {
    if (iterating === undefined) return;
    const { range, frozen, given, last, iterator } = iterating;
    const rest = select(frozen ?? this.#now, { ...range, limit: Infinity })
      .filter(([key]) => last === undefined || (range.reverse ? key < last : key > last))
      .slice(0, (range.limit ?? Infinity) - given);
    const result = iterator.next();
    assert.deepEqual(result.value, rest[0]);
    if (result.done) {
      this.#iterators = this.#iterators.filter((each) => each !== iterating);
      return;
    }
    iterating.given++;
    iterating.last = result.value[0];
  }

  #arrive(isOn: boolean, key: string, mode: SeekMode): void {
    if (this.#cursor === undefined) return;
    const { cursor, frozen } = this.#cursor;
    const entry = nearest(frozen ?? this.#now, key, mode);
    assert.equal(isOn, entry !== undefined);
    if (entry !== undefined) assert.deepEqual(cursor.entry, entry);
    this.#cursor.at = entry?.[0];
  }

  #move(up: boolean): void {
    if (this.#cursor === undefined) return;
    const { cursor, at } = this.#cursor;
    const isOn = up ? cursor.next() : cursor.prev();
    if (at === undefined) assert.equal(isOn, false);
    else this.#arrive(isOn, at, up ? "gt" : "lt");
  }

  #reopen(): void {
    this.close();
    this.#db = this.#open();
  }

  close(): void {
    this.#db.close();
    this.#levels.length = 1;
    this.#snapshots = [];
    this.#iterators = [];
    this.#cursor = undefined;
  }

  /** At the end: all of it, read again from the file. */
  finish(): void {
    this.#reopen();
    assert.deepEqual([...this.#db], select(this.#now, {}));
    this.close();
  }
}

function apply(content: Map<string, string>, op: BatchOp<string, string>): void {
  if (op.type === "set") content.set(op.key, op.value);
  else if (op.type === "delete") content.delete(op.key);
  else for (const [key] of select(content, op.range)) content.delete(key);
}

test("any program does to a database what it does to a sorted map", () => {
  const seed = process.env.LSM_TEST_SEED;
  const parameters: fc.Parameters<[Step[]]> = {
    numRuns: Number(process.env.LSM_TEST_RUNS ?? 60),
    ...(seed === undefined ? {} : { seed: Number(seed) }),
  };
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: "max" }), (steps) => {
      using at = place();
      const world = new World(at.file());
      try {
        for (const each of steps) world.run(each);
        world.finish();
      } finally {
        world.close();
      }
    }),
    parameters,
  );
});
