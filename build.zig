//! Builds the engine in csrc/ into shared libraries. The commands of tools/go.mjs call it; by hand:
//!
//!     zig build                      the library of this machine, zig-out/lib/<target>/
//!     zig build cross                all eight targets
//!     zig build -Dfor=darwin-arm64   one of them
//!     zig build test                 the C unit tests, with UBSan
//!     zig build --help               the options
//!
//! Sources are the literal list of csrc/sources.zon, in layer order; it must equal the files on disk.
const std = @import("std");
const builtin = @import("builtin");

const zig_version = "0.16.0";

comptime {
    if (!std.mem.eql(u8, builtin.zig_version_string, zig_version)) {
        @compileError("this project is built with Zig " ++ zig_version ++ ", not " ++
            builtin.zig_version_string ++ "; `node tools/go.mjs build` installs and uses it");
    }
}

const sources: []const []const u8 = @import("csrc/sources.zon");

const Step = struct { name: []const u8, about: []const u8, make: *const fn (*std.Build, *std.Build.Step, Options) void };

const steps = [_]Step{
    .{ .name = "lib", .about = "Build the library of one target (default)", .make = makeLib },
    .{ .name = "cross", .about = "Build the library of all targets", .make = makeCross },
    .{ .name = "test", .about = "Build and run the C unit tests of this machine", .make = makeTest },
};

const Options = struct {
    /// Target of `lib`; null: this machine.
    target_name: ?[]const u8 = null,
    optimize: std.builtin.OptimizeMode = .ReleaseFast,
    strip: bool = true,
    /// Only test files whose name contains this.
    filter: ?[]const u8 = null,
    /// Seed of random tests; printed by a failing test.
    seed: ?[]const u8 = null,
};

const Target = struct { name: []const u8, triple: []const u8, file: []const u8 };

/// The oldest systems that are supported are written into the triples: without them Zig would
/// build for the processor and the C library of the machine it runs on.
const targets = [_]Target{
    .{ .name = "linux-x64-gnu", .triple = "x86_64-linux-gnu.2.17", .file = "liblsm.so" },
    .{ .name = "linux-arm64-gnu", .triple = "aarch64-linux-gnu.2.17", .file = "liblsm.so" },
    .{ .name = "linux-x64-musl", .triple = "x86_64-linux-musl", .file = "liblsm.so" },
    .{ .name = "linux-arm64-musl", .triple = "aarch64-linux-musl", .file = "liblsm.so" },
    .{ .name = "darwin-x64", .triple = "x86_64-macos.12.0", .file = "liblsm.dylib" },
    .{ .name = "darwin-arm64", .triple = "aarch64-macos.12.0", .file = "liblsm.dylib" },
    .{ .name = "win32-x64", .triple = "x86_64-windows-gnu", .file = "lsm.dll" },
    .{ .name = "win32-arm64", .triple = "aarch64-windows-gnu", .file = "lsm.dll" },
};

const c_flags = [_][]const u8{
    "-std=c11",             "-D_GNU_SOURCE", "-DLSM_BUILDING", "-fvisibility=hidden",
    "-Wall",                "-Wextra",       "-Wpedantic",     "-Wshadow",
    "-Wundef",              "-Wcast-align",  "-Wvla",          "-Wstrict-prototypes",
    "-Wmissing-prototypes", "-Werror",       "-Wdate-time",
};

pub fn build(b: *std.Build) void {
    const options: Options = .{
        .target_name = b.option([]const u8, "for", "Target of `lib`, such as darwin-arm64 (default: this machine)"),
        .optimize = b.option(std.builtin.OptimizeMode, "optimize", "ReleaseFast (default) leaves asserts out; Debug keeps them") orelse .ReleaseFast,
        .strip = b.option(bool, "strip", "Leave debug information out (default: true)") orelse true,
        .filter = b.option([]const u8, "filter", "Run only test files whose name contains this"),
        .seed = b.option([]const u8, "seed", "Seed of random tests"),
    };
    checkSources(b);
    for (steps) |step| {
        const top = b.step(step.name, step.about);
        step.make(b, top, options);
        if (std.mem.eql(u8, step.name, "lib")) b.default_step = top;
    }
}

// ---------------------------------------------------------------------------------------- steps

fn makeLib(b: *std.Build, top: *std.Build.Step, options: Options) void {
    const name = options.target_name orelse hostName(b);
    for (targets) |target| {
        if (std.mem.eql(u8, target.name, name)) return addLibrary(b, top, target, options);
    }
    std.debug.panic("no such target: {s}", .{name});
}

fn makeCross(b: *std.Build, top: *std.Build.Step, options: Options) void {
    for (targets) |target| addLibrary(b, top, target, options);
}

fn makeTest(b: *std.Build, top: *std.Build.Step, options: Options) void {
    if (b.graph.host.result.os.tag != .linux) return;
    const unit = listFiles(b, "tests/unit", "_test.c") orelse return;
    const support = listFiles(b, "tests/support", ".c") orelse &.{};
    for (unit) |file| {
        if (options.filter) |part| if (std.mem.indexOf(u8, file, part) == null) continue;
        const module = b.createModule(.{
            .target = b.resolveTargetQuery(.{ .cpu_model = .baseline }),
            .optimize = .Debug,
            .link_libc = true,
            .sanitize_c = .full,
        });
        module.addIncludePath(b.path("csrc"));
        module.addIncludePath(b.path("tests"));
        module.addCSourceFiles(.{ .files = systemSources(b, .linux), .flags = &c_flags });
        module.addCSourceFiles(.{ .files = support, .flags = &c_flags });
        module.addCSourceFile(.{ .file = b.path(file), .flags = &c_flags });
        const exe = b.addExecutable(.{ .name = std.fs.path.stem(file), .root_module = module });
        const run = b.addRunArtifact(exe);
        run.expectExitCode(0);
        run.has_side_effects = true; // run again, also after a pass
        if (options.seed) |seed| run.setEnvironmentVariable("LSM_TEST_SEED", seed);
        top.dependOn(&run.step);
    }
}

// ------------------------------------------------------------------------------------- libraries

fn addLibrary(b: *std.Build, top: *std.Build.Step, target: Target, options: Options) void {
    const query = std.Target.Query.parse(.{ .arch_os_abi = target.triple, .cpu_features = "baseline" }) catch
        @panic("bad triple in the table of targets");
    const resolved = b.resolveTargetQuery(query);
    const os = resolved.result.os.tag;
    const module = b.createModule(.{
        .target = resolved,
        .optimize = options.optimize,
        .link_libc = true,
        .pic = true,
        .strip = options.strip,
        .sanitize_c = .off, // its default would end the host process
    });
    module.addIncludePath(b.path("csrc"));
    module.addCSourceFiles(.{ .files = systemSources(b, os), .flags = libraryFlags(b) });
    if (os == .windows) module.linkSystemLibrary("api-ms-win-core-synch-l1-2-0", .{});

    const library = b.addLibrary(.{ .name = "lsm", .linkage = .dynamic, .root_module = module });
    library.link_gc_sections = true;
    library.link_function_sections = true;
    library.link_data_sections = true;
    if (os == .linux) {
        library.link_z_defs = true;
        library.lto = .full; // a tenth faster; the linkers for macOS and Windows cannot
    }
    if (os == .macos) library.install_name = "@rpath/liblsm.dylib";

    const folder = b.fmt("lib/{s}", .{target.name});
    const install = b.addInstallArtifact(library, .{
        .dest_dir = .{ .override = .{ .custom = folder } },
        .dest_sub_path = target.file,
        .implib_dir = .disabled,
        .pdb_dir = .disabled,
    });
    top.dependOn(&install.step);
}

/// Paths in the result must not depend on where the project stands.
fn libraryFlags(b: *std.Build) []const []const u8 {
    const prefix = b.fmt("-ffile-prefix-map={s}/=", .{b.pathFromRoot("")});
    return std.mem.concat(b.allocator, []const u8, &.{ &c_flags, &.{prefix} }) catch @panic("OOM");
}

/// The sources one system compiles: os_posix_*.c are left out on Windows, os_win32_*.c elsewhere.
fn systemSources(b: *std.Build, os: std.Target.Os.Tag) []const []const u8 {
    var list: std.ArrayList([]const u8) = .empty;
    const foreign = if (os == .windows) "/os_posix" else "/os_win32";
    for (sources) |source| {
        if (std.mem.indexOf(u8, source, foreign) != null) continue;
        list.append(b.allocator, b.fmt("csrc/{s}", .{source})) catch @panic("OOM");
    }
    return list.items;
}

// ------------------------------------------------------------------------------------ small things

fn hostName(b: *std.Build) []const u8 {
    const host = b.graph.host.result;
    const processor = if (host.cpu.arch == .aarch64) "arm64" else "x64";
    return switch (host.os.tag) {
        .windows => b.fmt("win32-{s}", .{processor}),
        .macos => b.fmt("darwin-{s}", .{processor}),
        else => b.fmt("linux-{s}-{s}", .{ processor, if (host.abi.isMusl()) "musl" else "gnu" }),
    };
}

/// The files of a folder whose names end so, sorted; null if there is no such folder.
fn listFiles(b: *std.Build, folder: []const u8, ending: []const u8) ?[]const []const u8 {
    const io = b.graph.io;
    var dir = b.build_root.handle.openDir(io, folder, .{ .iterate = true }) catch return null;
    defer dir.close(io);
    var walker = dir.walk(b.allocator) catch @panic("OOM");
    var list: std.ArrayList([]const u8) = .empty;
    while (walker.next(io) catch @panic("cannot read a folder")) |entry| {
        if (entry.kind != .file or !std.mem.endsWith(u8, entry.path, ending)) continue;
        const path = b.fmt("{s}/{s}", .{ folder, entry.path });
        std.mem.replaceScalar(u8, path, '\\', '/');
        list.append(b.allocator, path) catch @panic("OOM");
    }
    std.mem.sort([]const u8, list.items, {}, struct {
        fn lessThan(_: void, left: []const u8, right: []const u8) bool {
            return std.mem.lessThan(u8, left, right);
        }
    }.lessThan);
    return list.items;
}

/// The list in csrc/sources.zon names every .c file on disk, and no other.
fn checkSources(b: *std.Build) void {
    const on_disk = listFiles(b, "csrc", ".c") orelse return;
    for (on_disk) |path| {
        if (!contains(sources, path["csrc/".len..])) fail(path, "is not in the list");
    }
    for (sources, 0..) |source, i| {
        if (contains(sources[0..i], source)) fail(source, "is in the list twice");
        if (!contains(on_disk, b.fmt("csrc/{s}", .{source}))) fail(source, "is in the list, not on disk");
    }
}

fn contains(list: []const []const u8, wanted: []const u8) bool {
    for (list) |item| {
        if (std.mem.eql(u8, item, wanted)) return true;
    }
    return false;
}

fn fail(path: []const u8, what: []const u8) noreturn {
    std.debug.print("csrc/sources.zon: {s} {s}; `node tools/sources.mjs --write` lists the files anew\n", .{ path, what });
    std.process.exit(1);
}
