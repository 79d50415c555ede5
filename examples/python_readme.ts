/**
 * The README of Python's lsm-db, line by line. The Python lines stand above their translations; the comments
 * behind show what is printed. Leaves `python_readme.ldb` in the working directory.
 *
 *     deno run --allow-ffi=zig-out/lib examples/python_readme.ts
 *     bun run examples/python_readme.ts
 *
 * @module
 */
import { Lsm } from "../mod.ts";

/** Runs the example on a new file, and prints with `print`. */
export function run(file: string, print: (line: string) => void): void {
  const p = (value: unknown) => print(JSON.stringify(value) ?? "undefined");

  // >>> from lsm import LSM
  // >>> db = LSM('test.ldb')
  using db = new Lsm(file);

  // --- Key/value features

  // >>> db['foo'] = 'bar'
  db.set("foo", "bar");
  // >>> print db['foo']
  p(db.get("foo")); // "bar"

  // >>> for i in range(4): db['k%s' % i] = str(i)
  for (let i = 0; i < 4; i++) db.set(`k${i}`, String(i));

  // >>> 'k3' in db
  p(db.has("k3")); // true
  // >>> 'k4' in db
  p(db.has("k4")); // false

  // >>> del db['k3']
  p(db.delete("k3")); // true
  // >>> db['k3']                                    -> KeyError: 'k3'
  p(db.get("k3")); // undefined
  try {
    db.getOrThrow("k3");
  } catch (error) {
    p((error as Error).name); // "LsmNotFoundError"
    p((error as Error).message); // "key not found: \"k3\""
  }

  // >>> from lsm import SEEK_LE, SEEK_GE
  // >>> db['k1xx', SEEK_LE]                         matches "k1"
  p(db.get("k1xx", { seek: "le" })); // "1"
  p(db.seek("k1xx", "le")); // ["k1","1"]
  // >>> db['k1xx', SEEK_GE]                         matches "k2"
  p(db.get("k1xx", { seek: "ge" })); // "2"
  p(db.seek("k1xx", "ge")); // ["k2","2"]

  // --- Slices and iteration

  // >>> [item for item in db]
  p([...db]); // [["foo","bar"],["k0","0"],["k1","1"],["k2","2"]]

  // >>> db['k0':'k99']                              a generator
  p(Object.prototype.toString.call(db.range("k0", "k99"))); // "[object LsmIterator]"
  // >>> list(db['k0':'k99'])
  p([...db.range("k0", "k99")]); // [["k0","0"],["k1","1"],["k2","2"]]
  p([...db.entries({ gte: "k0", lte: "k99" })]); // the same

  // >>> list(db['k0':])
  p([...db.range("k0")]); // [["k0","0"],["k1","1"],["k2","2"]]
  // >>> list(db[:'k1'])
  p([...db.range(undefined, "k1")]); // [["foo","bar"],["k0","0"],["k1","1"]]
  p([...db.entries({ lte: "k1" })]); // the same
  // >>> list(db[:'aaa'])
  p([...db.entries({ lte: "aaa" })]); // []

  // >>> list(db['k1':'aaa'])                        start > end: reversed
  p([...db.range("k1", "aaa")]); // [["k1","1"],["k0","0"],["foo","bar"]]
  // >>> list(db['k1'::True])
  //     the README promises k1, k0, foo; that walk is
  p([...db.entries({ lte: "k1", reverse: true })]); // [["k1","1"],["k0","0"],["foo","bar"]]
  //     what the Python call really returns is the set from k1 up, reversed
  p([...db.range("k1", undefined, { reverse: true })]); // [["k2","2"],["k1","1"]]

  // >>> del db['k0':'k99']                          ends are not deleted
  db.deleteRange({ gt: "k0", lt: "k99" });
  // >>> list(db)
  p([...db]); // [["foo","bar"],["k0","0"]]

  // --- Cursors

  // >>> with db.cursor() as cursor:
  // ...     for key, value in cursor: print key, '=>', value
  {
    using cursor = db.cursor();
    for (const [key, value] of cursor) print(`${key} => ${value}`); // foo => bar, k0 => 0
  }
  // >>> db.update({'k1': '1', 'k2': '2', 'k3': '3'})
  db.setMany({ k1: "1", k2: "2", k3: "3" });

  // >>> with db.cursor() as cursor: first / last / previous
  {
    using cursor = db.cursor();
    cursor.first();
    p(cursor.key); // "foo"
    cursor.last();
    p(cursor.key); // "k3"
    cursor.prev();
    p(cursor.key); // "k2"
  }

  // >>> with db.cursor() as cursor:
  // ...     cursor.seek('k0', SEEK_GE)
  // ...     print list(cursor.fetch_until('k99'))
  {
    using cursor = db.cursor();
    cursor.seek("k0", "ge");
    p([...cursor.until("k99")]); // [["k0","0"],["k1","1"],["k2","2"],["k3","3"]]
  }

  // --- Transactions

  // >>> with db.transaction() as txn:
  // ...     db['k1'] = '1-mod'
  // ...     with db.transaction() as txn2:
  // ...         db['k2'] = '2-mod'
  // ...         txn2.rollback()                     -> True
  db.transaction((tx) => {
    tx.set("k1", "1-mod");
    tx.transaction((tx2) => {
      tx2.set("k2", "2-mod");
      tx2.rollback();
    });
  });
  // >>> print db['k1'], db['k2']
  print(`${db.get("k1")} ${db.get("k2")}`); // 1-mod 2

  // >>> with db.transaction() as txn:               commit and roll back part-way
  db.transaction((tx) => {
    tx.set("k1", "outer txn");
    tx.commit({ chain: true }); // the write is preserved
    tx.set("k1", "outer txn-2");
    tx.transaction((tx2) => {
      tx2.set("k1", "inner-txn"); // committed when the function returns
    });
    p(tx.get("k1")); // "inner-txn"
    tx.rollback({ chain: true }); // undoes tx2 and the write before it
    p(tx.get("k1")); // "outer txn"
  });

  // >>> db.begin(); db['foo'] = 'baze'; print db['foo']; db.rollback(); print db['foo']
  db.begin();
  db.set("foo", "baze");
  p(db.get("foo")); // "baze"
  p(db.rollback()); // true
  p(db.get("foo")); // "bar"
  p(db.transactionDepth); // 0     (Python: 1, still open)
}

if (import.meta.main) {
  const file = "python_readme.ldb";
  {
    using db = new Lsm(file);
    db.clear(); // what an earlier run left
  }
  run(file, console.log);
}
