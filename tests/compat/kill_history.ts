/** Transaction number n of the kill test, the same in writer and test. */
import { randomNumbers } from "./witness.ts";

/** One change. */
export type KillOp =
  | { type: "set"; key: string; value: string }
  | { type: "delete"; key: string }
  | { type: "range"; from: string; to: string };

/** What transaction `n` does. */
export function transactionOf(n: number): KillOp[] {
  const random = randomNumbers(n * 7919);
  const ops: KillOp[] = [];
  const key = () => `k${String(random(2000)).padStart(5, "0")}`;
  for (let i = 1 + random(8); i > 0; i--) {
    const choice = random(20);
    if (choice < 16) {
      ops.push({
        type: "set",
        key: key(),
        value: `${n}:`.padEnd(random(random(10) === 0 ? 6000 : 150), "v"),
      });
    } else if (choice < 19) {
      ops.push({ type: "delete", key: key() });
    } else {
      const [from, to] = [key(), key()].sort();
      if (from !== undefined && to !== undefined && from < to && random(3) === 0) {
        ops.push({ type: "range", from, to });
      }
    }
  }
  return ops;
}

/** Applies transaction `n` to the model. */
export function applyTo(model: Map<string, string>, n: number): void {
  for (const op of transactionOf(n)) {
    if (op.type === "set") model.set(op.key, op.value);
    else if (op.type === "delete") model.delete(op.key);
    else for (const key of [...model.keys()]) if (key > op.from && key < op.to) model.delete(key);
  }
  model.set("~counter", String(n));
}
