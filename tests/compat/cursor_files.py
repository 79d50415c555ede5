#!/usr/bin/env python3
"""Files made by stock LSM1, read by our cursors, judged by the independent reader.

    PYTHONPATH=<folder with lsm-db 0.7.3> cursor_files.py READER DUMP [SEED [COUNT]]

READER is tests/compat/cursor_read.c as a program; DUMP the independent reader `lsmdump.py`. For each
seed a database is driven through inserts, deletes, range deletes, flushes and interrupted merges;
after each checkpoint the database file is copied, and the copy read by both. LSM1's own answers are
not asked for: it is known to be wrong in some of these states. Prints counts of the states seen;
exit status 1 at a difference, with the copy kept.
"""
import collections
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile

import lsm


def load_dump(path):
    spec = importlib.util.spec_from_file_location("lsmdump", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["lsmdump"] = module
    spec.loader.exec_module(module)
    return module


def key_of(rng, style):
    if style == 0:
        return b"k%04d" % rng.randrange(300)
    if style == 1:
        return b"a-common-prefix-%04d" % rng.randrange(600)
    if style == 2:
        return bytes(rng.randrange(4) for _ in range(rng.randrange(6)))
    return bytes([97 + rng.randrange(26)]) * rng.choice([1, 5, 9, 70, 200])


def examine(path, dump, reader, keys, seen, mapped):
    db = dump.open_database(path)
    for level in db.ckpt.levels:
        if level.rhs:
            seen["merging"] += 1
            if len(level.merge.inputs) > len(level.rhs):
                seen["merging, index below as input"] += 1
            records = [r for r in db.records(level.lhs) if not r.type & dump.SEPARATOR]
            if not records:
                seen["output of separators only"] += 1
            elif records[-1].type & dump.START_DELETE:
                seen["output ends inside a range"] += 1
        elif level.lhs.root == 0:
            seen["run without root"] += 1
    if db.ckpt.redirects:
        seen["redirects"] += 1
    seen["files"] += 1
    want = "".join("%s\t%s\n" % (k.hex(), v.hex()) for k, v in dump.live_items(db))
    given = "".join(k.hex() + "\n" for k in keys)
    got = subprocess.run([reader, path] + (["mmap"] if mapped else []), input=given.encode(),
                         capture_output=True)
    if got.returncode != 0 or got.stdout.decode() != want:
        print("DIFFERENT: %s\n%s" % (path, got.stderr.decode()))
        return False
    seen["records"] += want.count("\n")
    return True


def run(seed, folder, dump, reader, seen):
    rng = random.Random(seed)
    path = os.path.join(folder, "made-%d.lsm" % seed)
    style = rng.randrange(4)
    db = lsm.LSM(path, page_size=rng.choice([256, 512, 1024]), block_size=64, autowork=False,
                 autoflush=rng.choice([0, 8, 64, 1024]), automerge=rng.choice([2, 3, 4]), mmap=0,
                 autocheckpoint=0)
    keys = set()
    good = True
    for step in range(rng.choice([10, 30])):
        for _ in range(rng.choice([1, 5, 40, 200])):
            key = key_of(rng, style)
            keys.add(key)
            dice = rng.random()
            if dice < 0.7:
                db.insert(key, bytes([65 + step % 26]) * rng.choice([0, 3, 30, 30, 500]))
            elif dice < 0.85:
                db.delete(key)
            else:
                other = key_of(rng, style)
                keys.add(other)
                if key < other:
                    db.delete_range(key, other)
        db.flush()
        for _ in range(rng.randrange(4)):
            db.work(rng.choice([1, 2, 2, 3, 4]), rng.choice([1, 1, 2, 4, 1000]))
        db.checkpoint(0)
        copy = os.path.join(folder, "copy-%d-%d.lsm" % (seed, step))
        shutil.copyfile(path, copy)
        good = examine(copy, dump, reader, sorted(keys), seen, rng.random() < 0.5)
        if not good:
            break
        os.unlink(copy)
    db.close()
    if good:
        for name in os.listdir(folder):
            if name.startswith("made-%d.lsm" % seed):
                os.unlink(os.path.join(folder, name))
    return good


def run_apart(seed, folder, dump, reader):
    """Run one seed in a child that a signal ends: stock LSM1 can flush for ever (DF-53)."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(6)
        seen = collections.Counter()
        good = run(seed, folder, dump, reader, seen)
        os.write(sink, json.dumps(seen).encode())
        os._exit(0 if good else 1)
    os.close(sink)
    with os.fdopen(source) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return collections.Counter({"ended by signal %d" % os.WTERMSIG(status): 1})
    return collections.Counter(json.loads(text)) if status == 0 else None


def main(argv):
    reader, dump = argv[1], load_dump(argv[2])
    seed = int(argv[3]) if len(argv) > 3 else random.randrange(1 << 30)
    count = int(argv[4]) if len(argv) > 4 else 20
    folder = tempfile.mkdtemp(prefix="lsm-cursor-")
    seen = collections.Counter()
    for number in range(seed, seed + count):
        counts = run_apart(number, folder, dump, reader)
        if counts is None:
            print("repeat with seed %d, count 1" % number)
            return 1
        seen += counts
    shutil.rmtree(folder)
    print(", ".join("%s %d" % item for item in sorted(seen.items())))
    return 0


sys.exit(main(sys.argv))
