/**
 * The first fifteen lines.
 *
 *     deno run --allow-ffi=zig-out/lib examples/quickstart.ts
 *     bun run examples/quickstart.ts
 *
 * @module
 */
import { Lsm } from "../mod.ts";

using db = new Lsm("quickstart.ldb");

db.setMany({ "fruit:apple": "red", "fruit:lemon": "yellow", "tree:oak": "tall" });
console.log(db.get("fruit:apple")); // red
console.log(db.seek("fruit:banana", "ge")); // [ "fruit:lemon", "yellow" ]

for (const [key, value] of db.entries({ prefix: "fruit:", reverse: true })) {
  console.log(`${key} is ${value}`); // fruit:lemon is yellow, fruit:apple is red
}

db.transaction((tx) => { // all of it or nothing
  tx.delete("tree:oak");
  tx.set("bench:oak", "new");
});
console.log(db.has("tree:oak"), db.count()); // false 3
