/** The TypeScript libraries of tests and demo: the root's package-lock.json, installed exactly. */
import { installPackages } from "./packages.mjs";
import { ROOT } from "./project.mjs";

export function ensureLibraries() {
  return installPackages(ROOT, "libraries");
}
