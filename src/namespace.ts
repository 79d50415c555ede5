/**
 * The keys under a prefix as a database of their own.
 *
 * @module
 */
import type { Codec, KeyCodec } from "./codec.ts";
import { utf8 } from "./codecs.ts";
import { checkOptions } from "./names.ts";
import { BasedKey, packedKey, packedValue } from "./packed.ts";
import type { Packed, PackedKey } from "./packed.ts";
import { encodePrefix, prefixEnd } from "./range.ts";
import type { Source } from "./source.ts";
import { openTransaction } from "./transaction.ts";
import type { Synchronous, Transaction } from "./transaction.ts";
import { WritingView } from "./writer.ts";

/** Codecs to look through. */
export interface CodecOptions<K, V> {
  /** How keys become bytes. */
  keys?: KeyCodec<K> | undefined;
  /** How values become bytes. */
  values?: Codec<V> | undefined;
}

/**
 * The keys under a prefix, which is added when writing and taken off when reading; made by
 * `db.namespace()`. Connection and transactions are those of the database.
 *
 * @example
 * ```ts
 * import { json, Lsm } from "@lsmdb/lsm";
 * using db = new Lsm("example.ldb");
 * const users = db.namespace("user:", { values: json });
 * users.set("7", { name: "Ada" });
 * console.log([...users.keys()], db.get("user:7")); // [ "7" ] {"name":"Ada"}
 * ```
 */
export class Namespace<K, V> extends WritingView<K, V> {
  readonly #source: Source<K, V>;

  /** Made by `namespace()`. */
  constructor(source: Source<K, V>) {
    super(source);
    this.#source = source;
  }

  /** A copy of the bytes in front of all its keys. */
  get prefix(): Uint8Array {
    return (this.#source.keys.base ?? new Uint8Array(0)).slice();
  }

  /** Runs a function in a transaction of the whole database; see `Lsm.transaction`. */
  transaction<T>(fn: (tx: Transaction<K, V>) => Synchronous<T>): T;
  /** Opens a transaction for `using`: undone unless committed. */
  transaction(): Transaction<K, V>;
  transaction<T>(fn?: (tx: Transaction<K, V>) => Synchronous<T>): T | Transaction<K, V> {
    return openTransaction(this.#source, fn);
  }

  /** A namespace inside this one; see `Lsm.namespace`. */
  namespace<K2, V2>(
    prefix: K,
    codecs: CodecOptions<K2, V2> & { keys: KeyCodec<K2>; values: Codec<V2> },
  ): Namespace<K2, V2>;
  /** With a codec for keys. */
  namespace<K2>(
    prefix: K,
    codecs: CodecOptions<K2, V> & { keys: KeyCodec<K2> },
  ): Namespace<K2, V>;
  /** With a codec for values. */
  namespace<V2>(
    prefix: K,
    codecs: CodecOptions<string, V2> & { values: Codec<V2> },
  ): Namespace<string, V2>;
  /** With text keys, and the values of this namespace. */
  namespace(prefix: K, codecs?: CodecOptions<string, V>): Namespace<string, V>;
  namespace<K2, V2>(prefix: K, codecs: CodecOptions<K2, V2> = {}): Namespace<K2, V2> {
    return openNamespace(this.#source, prefix, codecs);
  }
}

/** Makes the namespace of the keys that start with `prefix`. */
export function openNamespace<K, V, K2, V2>(
  source: Source<K, V>,
  prefix: K,
  codecs: CodecOptions<K2, V2>,
): Namespace<K2, V2> {
  checkCodecs(codecs);
  const base = encodePrefix(source.keys, prefix);
  const end = prefixEnd(source.keys, base);
  // Without the option keys are text: then K2 is string.
  const { keys = utf8 as unknown as KeyCodec<K2> } = codecs;
  const inner = packedKey(keys);
  return new Namespace({
    view: source.view,
    keys: new BasedKey(base, end, inner),
    values: valuesOr(codecs, source),
  });
}

/** The same view through other codecs. */
export function withCodecs<K, V, K2, V2>(
  source: Source<K, V>,
  codecs: CodecOptions<K2, V2>,
): Source<K2, V2> {
  checkCodecs(codecs);
  // Without the option keys are as they were: then K2 is K.
  const keys = codecs.keys === undefined
    ? source.keys as unknown as PackedKey<K2>
    : packedKey(codecs.keys);
  return { view: source.view, keys, values: valuesOr(codecs, source) };
}

function checkCodecs(codecs: object): void {
  checkOptions(codecs, ["keys", "values"], "codecs such as { values: json }");
}

function valuesOr<V, V2>(
  { values }: { values?: Codec<V2> | undefined },
  source: { readonly values: Packed<V> },
): Packed<V2> {
  // Without the option values are as they were: then V2 is V.
  return values === undefined ? source.values as unknown as Packed<V2> : packedValue(values);
}
