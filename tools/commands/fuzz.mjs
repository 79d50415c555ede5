/** `fuzz [target ...] [runs] [-libfuzzer-option ...]`: hostile bytes (see tools/fuzz.mjs). */
export { fuzz } from "../fuzz.mjs";
