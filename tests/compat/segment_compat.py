#!/usr/bin/env python3
"""Files written by our segment writer alone, checked by an independent reader and by the stock engine.

    segment_compat.py --maker PROGRAM --reader lsmdump.py [--rounds N] [--seed N]

PROGRAM is tests/compat/segment_make.c, compiled. lsmdump.py is the inspector that belongs to the format's
specification. The stock engine is the Python package lsm-db (set PYTHONPATH); without it that part is
skipped. For each file: `check` must be silent, `scan` must equal the content; the engine must scan it
forwards and backwards and find every key (EQ, GE, LE). Then, kind "copy": the engine and our writer store
the same records, and pages, cells, pointers and index must be the same, page by page.
Prints one line per failure with the command that repeats it; exit status 1 if any.
"""
import argparse
import importlib.util
import os
import random
import subprocess
import sys
import tempfile


def read_content(path):
    with open(path) as lines:
        return [tuple(bytes.fromhex(part) for part in line.rstrip("\n").split("\t")) for line in lines]


def stock(path, content):
    """In a process of its own: the engine may crash."""
    import lsm

    def same(actual, wanted, what):
        if actual != wanted:
            raise SystemExit("%s differs (%d entries, %d wanted)" % (what, len(actual), len(wanted)))

    expected = read_content(content)
    db = lsm.LSM(path, autowork=False)
    with db.cursor() as cursor:
        same([(bytes(k), bytes(v)) for k, v in cursor], expected, "forward scan")
    with db.cursor(True) as cursor:
        same([(bytes(k), bytes(v)) for k, v in cursor], expected[::-1], "backward scan")
    with db.cursor() as cursor:
        for i, (key, value) in enumerate(expected):
            for how in (lsm.SEEK_EQ, lsm.SEEK_GE, lsm.SEEK_LE):
                cursor.seek(key, how)
                if (bytes(cursor.key()), bytes(cursor.value())) != (key, value):
                    raise SystemExit("seek %d to key %d gives another entry" % (how, i))
            if i + 1 < len(expected):
                between = key + b"\0"
                cursor.seek(between, lsm.SEEK_GE)
                if bytes(cursor.key()) != expected[i + 1][0]:
                    raise SystemExit("GE behind key %d gives another entry" % i)
                if between != expected[i + 1][0]:
                    cursor.seek(between, lsm.SEEK_LE)
                    if bytes(cursor.key()) != key:
                        raise SystemExit("LE behind key %d gives another entry" % i)
    # It must be able to go on with the file: write above it, and merge everything.
    for i in range(20):
        db[b"\xff\xff\xffnew%d" % i] = b"value"
    db.flush()
    db.work(nmerge=1, nkb=1 << 20)
    rest = [(bytes(k), bytes(v)) for k, v in db if not k.startswith(b"\xff\xff\xffnew")]
    same(rest, expected, "scan after a merge")
    db.close()


def stock_make(path, content, page, block):
    """Let the engine write the same records as one run."""
    import lsm

    db = lsm.LSM(path, page_size=page, block_size=block // 1024, autowork=False, autoflush=1 << 20,
                 transaction_log=False)
    with db.transaction():
        for key, value in read_content(content):
            db[key] = value
    db.flush()
    db.checkpoint(0)
    db.close()


def layout(dump, path):
    db = dump.open_database(path)
    run = db.ckpt.levels[0].lhs
    pages = []
    for page in db.pages(run):
        pages.append((page.number, page.flags, page.pointer,
                      tuple(page.cell(i) for i in range(page.count))))
        if page.is_btree:
            pages.append(tuple(db.btree_cells(run, page)))
    records = [(r.type & ~0x40, r.key, r.value) for r in db.records(run)]
    return (run.first, run.last, run.root, run.size), pages, records


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--maker", required=True)
    parser.add_argument("--reader", required=True)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    spec = importlib.util.spec_from_file_location("lsmdump", options.reader)
    dump = importlib.util.module_from_spec(spec)
    sys.modules["lsmdump"] = dump
    spec.loader.exec_module(dump)
    have_stock = importlib.util.find_spec("lsm") is not None
    failures = 0
    counts = {"files": 0, "stock": 0, "layouts": 0, "records": 0}
    with tempfile.TemporaryDirectory() as folder:
        path, content = os.path.join(folder, "a.lsm"), os.path.join(folder, "content")
        other = os.path.join(folder, "b.lsm")

        def run(command):
            done = subprocess.run(command, capture_output=True)
            return done.returncode, done.stdout + done.stderr

        def fresh():
            for name in (path, other):
                for end in ("", "-log", "-shm"):
                    if os.path.exists(name + end):
                        os.unlink(name + end)

        for seed in range(options.seed, options.seed + options.rounds):
            choose = random.Random(seed)
            page = 256 << choose.randrange(9)
            block = 65536 << choose.randrange(5)
            codec = choose.choice(["none", "none", "none", "rle", "copy"])
            if codec != "none" and page > 16384:
                page = 16384
            if block < 4 * page:
                block = 4 * page
            kind = choose.choice(["one", "two"])
            stop = choose.choice([0, 0, 1, 3, 20, 300])
            command = [options.maker, path, content, "kind=" + kind, "seed=%d" % seed,
                       "page=%d" % page, "block=%d" % block, "stop=%d" % stop, "codec=" + codec]

            def problem(what, detail):
                nonlocal failures
                failures += 1
                print("%s: %s\n    %s" % (what, " ".join(command),
                                          detail.decode(errors="replace")[:600]))

            fresh()
            status, output = run(command)
            if status != 0:
                problem("maker failed", output)
                continue
            counts["files"] += 1
            reader = [sys.executable, options.reader]
            if codec != "none":
                reader += ["--codec", codec]
            status, output = run(reader + [path, "check"])
            if status != 0 or output.strip():
                problem("check is not silent", output)
            status, output = run(reader + [path, "scan"])
            with open(content, "rb") as wanted:
                wanted = wanted.read()
            counts["records"] += wanted.count(b"\n")
            if status != 0 or output != wanted:
                problem("scan differs", output[-400:] if status else b"")
            if have_stock and codec == "none":
                status, output = run([sys.executable, __file__, "--stock", path, content])
                counts["stock"] += 1
                if status != 0:
                    problem("stock engine", output)
            if have_stock and codec == "none" and kind == "one":
                fresh()
                status, output = run([sys.executable, __file__, "--stock-make", other, content,
                                      str(page), str(block)])
                if status != 0:
                    problem("stock engine cannot write", output)
                    continue
                command[3] = "kind=copy"
                command[7] = "stop=0"
                status, output = run(command)
                counts["layouts"] += 1
                if status != 0:
                    problem("maker failed", output)
                elif wanted and layout(dump, path) != layout(dump, other):
                    ours, theirs = layout(dump, path), layout(dump, other)
                    where = [(a, b) for a, b in zip(ours[1], theirs[1]) if a != b][:2]
                    problem("layouts differ", repr((ours[0], theirs[0], where)).encode())
    print(", ".join("%d %s" % (n, name) for name, n in counts.items()) + ", %d failures" % failures)
    if not have_stock:
        print("stock engine not found: its part was skipped")
    return 1 if failures else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stock"]:
        stock(*sys.argv[2:4])
    elif sys.argv[1:2] == ["--stock-make"]:
        stock_make(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        sys.exit(main())
