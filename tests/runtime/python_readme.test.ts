// The README example of Python's lsm-db, line by line: examples/python_readme.ts, and what it prints.
import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "../../examples/python_readme.ts";
import { place } from "./support.ts";

const printed = `
"bar"
true
false
true
undefined
"LsmNotFoundError"
"key not found: \\"k3\\""
"1"
["k1","1"]
"2"
["k2","2"]
[["foo","bar"],["k0","0"],["k1","1"],["k2","2"]]
"[object LsmIterator]"
[["k0","0"],["k1","1"],["k2","2"]]
[["k0","0"],["k1","1"],["k2","2"]]
[["k0","0"],["k1","1"],["k2","2"]]
[["foo","bar"],["k0","0"],["k1","1"]]
[["foo","bar"],["k0","0"],["k1","1"]]
[]
[["k1","1"],["k0","0"],["foo","bar"]]
[["k1","1"],["k0","0"],["foo","bar"]]
[["k2","2"],["k1","1"]]
[["foo","bar"],["k0","0"]]
foo => bar
k0 => 0
"foo"
"k3"
"k2"
[["k0","0"],["k1","1"],["k2","2"],["k3","3"]]
1-mod 2
"inner-txn"
"outer txn"
"baze"
true
"bar"
0
`;

test("the README of Python's lsm-db prints the same", () => {
  using at = place();
  const lines: string[] = [];
  run(at.file(), (line) => lines.push(line));
  assert.equal(lines.length, 36);
  assert.equal(lines.join("\n"), printed.trim());
});
