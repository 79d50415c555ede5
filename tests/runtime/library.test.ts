// Finding the library: places, order and messages. No library is loaded here.
import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { ABI } from "../../ffi/frames.ts";
import { findLibrary } from "../../ffi/library.ts";
import type { Native } from "../../ffi/native.ts";
import type { Runtime } from "../../ffi/runtime.ts";
import { libraryFileName, packageName, targetOf } from "../../ffi/targets.ts";
import { failure } from "./support.ts";

/** A runtime that finds the given files only, and notes what it was asked for. */
function fake(files: Record<string, number>, changes: Partial<Runtime> = {}) {
  const opened: string[] = [];
  const runtime: Runtime = {
    name: "Fake",
    libc: () => "gnu",
    environment: () => undefined,
    mayLoad: () => true,
    permissionFor: (path) => `--allow-ffi=${path}`,
    packaged: () => {
      throw new Error("no such package");
    },
    isMainThread: () => true,
    open(path) {
      opened.push(path);
      const abi = files[path];
      if (abi === undefined) throw new Error("no such file");
      return { abi: () => abi } as Native;
    },
    ...changes,
  };
  return { runtime, opened };
}

test("the option is the only file tried", () => {
  const { runtime, opened } = fake({ "/a.so": ABI }, { environment: () => "/b.so" });
  assert.equal(findLibrary(runtime, "/a.so").path, "/a.so");
  const error = failure("LSM_LIBRARY", () => findLibrary(runtime, "/c.so"));
  assert.deepEqual(opened, ["/a.so", "/c.so"]);
  assert.match(error.message, /option library: "\/c\.so": no such file/);
});

test("a URL is taken for the option", () => {
  const { runtime } = fake({ "/a b.so": ABI });
  assert.equal(findLibrary(runtime, pathToFileURL("/a b.so")).path, "/a b.so");
});

test("the variable is the only file tried without the option", () => {
  const { runtime, opened } = fake({}, { environment: (name) => `/${name}.so` });
  failure("LSM_LIBRARY", () => findLibrary(runtime, undefined));
  assert.deepEqual(opened, ["/LSM_LIBRARY.so"]);
});

test("the development tree comes before the package", () => {
  const { runtime, opened } = fake({ "/package.so": ABI }, { packaged: () => "/package.so" });
  assert.equal(findLibrary(runtime, undefined).path, "/package.so");
  assert.equal(opened.length, 2);
  assert.match(opened[0] ?? "", /zig-out.lib.\w+-\w+(-gnu)?.(liblsm\.so|liblsm\.dylib|lsm\.dll)$/);
});

test("a tree that would ask for permission comes after the package", () => {
  const { runtime, opened } = fake({ "/package.so": ABI }, {
    packaged: () => "/package.so",
    mayLoad: () => false,
  });
  findLibrary(runtime, undefined);
  assert.deepEqual(opened, ["/package.so"]);
});

test("a library of another interface is not used", () => {
  const { runtime } = fake({ "/old.so": 999 });
  const error = failure("LSM_LIBRARY", () => findLibrary(runtime, "/old.so"));
  assert.match(error.message, new RegExp(`has interface 999, this package needs ${ABI}`));
});

test("every attempt is named, and the permission to add", () => {
  const refused = new Error("Requires ffi access");
  refused.name = "NotCapable";
  const { runtime } = fake({}, {
    mayLoad: () => false,
    open: () => {
      throw refused;
    },
  });
  const error = failure("LSM_LIBRARY", () => findLibrary(runtime, undefined));
  assert.match(error.message, /@lsmdb\/lsm-.*: no such package/);
  assert.match(error.message, /development tree: .*: Requires ffi access/);
  assert.match(error.hint ?? "", /^run with --allow-ffi=.*zig-out/);
  const [first] = error.message.split("\n");
  assert.ok(first?.endsWith(`: ${error.hint}`), "the cure comes first");
  assert.equal(error.cause, refused);
});

test("targets have the names of the build", () => {
  assert.equal(targetOf("linux", "x64", "musl"), "linux-x64-musl");
  assert.equal(targetOf("darwin", "arm64", "gnu"), "darwin-arm64");
  assert.equal(targetOf("win32", "x64", "gnu"), "win32-x64");
  assert.equal(targetOf("freebsd", "x64", "gnu"), undefined);
  assert.equal(libraryFileName("win32-arm64"), "lsm.dll");
  assert.equal(libraryFileName("darwin-x64"), "liblsm.dylib");
  assert.equal(packageName("linux-x64-gnu"), "@lsmdb/lsm-linux-x64-gnu");
});
