#!/usr/bin/env python3
"""Random histories in which stock LSM1 and this engine continue each other's merges.

    work_exchange.py OURS LSM1 DUMP [--mode ours|theirs|mixed] [--seed N] [--count N]

OURS is this engine as a shared library, LSM1 the extension module of lsm-db 0.7.3 (it exports the C
functions), DUMP the independent reader `lsmdump.py`. A sorted map is the judge.

    ours     all writing is ours; LSM1 reads copies, merges them to the end, and reads again
    theirs   all writing is LSM1's; we read copies, merge them to the end, and read again
    mixed    the engines take turns on one file, with unfinished merges in it

Whenever one of the engines is wrong, the independent reader is asked, too: LSM1 is known to answer
wrongly in some states of right files (its defects 45, 54, 71, 73), so its wrong answers are counted
by kind, and only files that the independent reader finds wrong, and wrong answers of ours, are
failures. Each history runs in a process of its own, because LSM1 can crash or hang.
"""
import argparse
import collections
import ctypes
import importlib.util
import json
import os
import random
import shutil
import signal
import sys
import tempfile

LE, EQ, GE = -1, 0, 1
TIMEOUT_SECONDS = 120


def load_dump(path):
    spec = importlib.util.spec_from_file_location("lsmdump", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["lsmdump"] = module
    spec.loader.exec_module(module)
    return module


class EngineError(Exception):
    pass


class Database:
    """A connection through the C interface of either library."""

    OPTIONS = {"autoflush": 1, "page_size": 2, "safety": 3, "block_kb": 4, "autowork": 5, "mmap": 7,
               "automerge": 9, "max_freelist": 10, "processes": 11, "autocheckpoint": 12}

    def __init__(self, library, path, **options):
        self.library = library
        self.db = ctypes.c_void_p()
        self.check(library.lsm_new(None, ctypes.byref(self.db)), "new")
        library.lsm_config_log(self.db, None, None)
        for name, value in options.items():
            number = ctypes.c_int(value)
            self.check(library.lsm_config(self.db, self.OPTIONS[name], ctypes.byref(number)), name)
        self.check(library.lsm_open(self.db, path.encode()), "open")

    def check(self, code, what):
        if code:
            raise EngineError("%s returned %d" % (what, code))

    def insert(self, key, value):
        self.check(self.library.lsm_insert(self.db, key, len(key), value, len(value)), "insert")

    def delete(self, key):
        self.check(self.library.lsm_delete(self.db, key, len(key)), "delete")

    def delete_range(self, first, last):
        self.check(self.library.lsm_delete_range(self.db, first, len(first), last, len(last)), "range")

    def begin(self):
        self.check(self.library.lsm_begin(self.db, 1), "begin")

    def commit(self):
        self.check(self.library.lsm_commit(self.db, 0), "commit")

    def flush(self):
        self.check(self.library.lsm_flush(self.db), "flush")

    def work(self, merge, kb):
        done = ctypes.c_int()
        self.check(self.library.lsm_work(self.db, merge, kb, ctypes.byref(done)), "work")
        return done.value

    def checkpoint(self):
        self.check(self.library.lsm_checkpoint(self.db, None), "checkpoint")

    def close(self):
        self.check(self.library.lsm_close(self.db), "close")

    def entry(self, cursor, with_value=True):
        if not self.library.lsm_csr_valid(cursor):
            return None
        out, size = ctypes.c_void_p(), ctypes.c_int()
        self.check(self.library.lsm_csr_key(cursor, ctypes.byref(out), ctypes.byref(size)), "key")
        key = ctypes.string_at(out, size.value)
        if not with_value:
            return key
        self.check(self.library.lsm_csr_value(cursor, ctypes.byref(out), ctypes.byref(size)), "value")
        return key, ctypes.string_at(out, size.value)

    def answers(self, keys):
        """Everything a reader can be asked: {kind: [answers]}."""
        cursor = ctypes.c_void_p()
        self.check(self.library.lsm_csr_open(self.db, ctypes.byref(cursor)), "cursor")
        result = {"forward": [], "backward": [], "EQ": [], "GE": [], "LE": []}
        self.check(self.library.lsm_csr_first(cursor), "first")
        while (entry := self.entry(cursor)) is not None and len(result["forward"]) < 100000:
            result["forward"].append(entry)
            self.check(self.library.lsm_csr_next(cursor), "next")
        self.check(self.library.lsm_csr_last(cursor), "last")
        while (entry := self.entry(cursor)) is not None and len(result["backward"]) < 100000:
            result["backward"].append(entry)
            self.check(self.library.lsm_csr_prev(cursor), "prev")
        for name, mode in (("EQ", EQ), ("GE", GE), ("LE", LE)):
            for key in keys:
                self.check(self.library.lsm_csr_seek(cursor, key, len(key), mode), "seek")
                result[name].append(self.entry(cursor, mode == EQ))
        self.check(self.library.lsm_csr_close(cursor), "cursor close")
        return result


def expected(model, keys):
    present = sorted(model)
    result = {"forward": [(key, model[key]) for key in present], "EQ": [], "GE": [], "LE": []}
    result["backward"] = result["forward"][::-1]
    for key in keys:
        result["EQ"].append((key, model[key]) if key in model else None)
        result["GE"].append(next((other for other in present if other >= key), None))
        result["LE"].append(next((other for other in reversed(present) if other <= key), None))
    return result


class Failure(Exception):
    pass


class Lsm1Fault(Exception):
    """LSM1 has written a wrong file by itself: the history ends."""


class History:
    def __init__(self, libraries, dump, folder, mode, seed):
        self.libraries, self.dump, self.folder, self.mode = libraries, dump, folder, mode
        self.rng = random.Random(seed)
        self.seen = collections.Counter()
        self.path = os.path.join(folder, "db")
        rng = self.rng
        self.page_size = rng.choice([256, 512, 512, 4096])
        self.value_max = rng.choice([20, 60, 60, 300, 2000])
        self.autoflush = rng.choice([0, 1, 1, 4])
        self.max_freelist = rng.choice([2, 3, 4, 24])
        self.key_count = rng.choice([30, 100, 200])
        pad = rng.choice([0, 0, 0, 1, 2])
        self.keys = []
        for i in range(self.key_count):
            padding = rng.randrange(self.page_size * pad) if pad and rng.randrange(4) == 0 else 0
            self.keys.append(b"k%05d" % (2 * i + 1) + b"p" * padding)
        self.asked = self.keys + [b"k%05d" % (2 * i) for i in range(self.key_count)]
        self.model = {}

    def open(self, name, path):
        options = dict(page_size=self.page_size, block_kb=64, safety=0, autoflush=self.autoflush,
                       max_freelist=self.max_freelist, mmap=self.rng.randrange(2),
                       autowork=self.rng.randrange(2), processes=0,
                       autocheckpoint=self.rng.choice([4, 16, 64, 2048]),
                       # LSM1 hangs in flush and close with 3 and more (its defect 53)
                       automerge=2 if name == "lsm1" else self.rng.randrange(2, 6))
        return Database(self.libraries[name], path, **options)

    def change(self, name, db, centre):
        rng = self.rng
        i = (centre + rng.randrange(self.key_count // 4 + 1)) % self.key_count
        kind = rng.randrange(100)
        if kind < 72:
            value = rng.randbytes(rng.randrange(self.value_max if rng.randrange(8) == 0
                                                else self.value_max // 8 + 1))
            db.insert(self.keys[i], value)
            self.model[self.keys[i]] = value
        elif kind < 90:
            db.delete(self.keys[i])
            self.model.pop(self.keys[i], None)
        else:
            j = min(i + 1 + rng.randrange(12 if kind < 97 else self.key_count), self.key_count - 1)
            # LSM1 destroys memory when both bounds exist (its defect 24): bounds that never do
            first, last = b"k%05d" % (2 * i), b"k%05d" % (2 * j)
            if first < last:
                db.delete_range(first, last)
                for key in [key for key in self.model if first < key < last]:
                    del self.model[key]

    def changes(self, name, db):
        centre = self.rng.randrange(self.key_count)
        together = self.rng.randrange(2)
        if together:
            db.begin()
        for _ in range(1 + self.rng.randrange(self.rng.choice([5, 60]))):
            self.change(name, db, centre)
        if together:
            db.commit()

    def session(self, name):
        """Some calls on one open connection, the close included."""
        db = self.open(name, self.path)
        for _ in range(5 + self.rng.randrange(25)):
            kind = self.rng.randrange(100)
            if kind < 55:
                self.changes(name, db)
            elif kind < 88:
                if self.rng.randrange(30) == 0:
                    db.work(1, -1)
                else:
                    db.work(self.rng.randrange(1, 4), 1 + self.rng.randrange(2))
            elif kind < 93 and name == "ours":
                db.flush()  # LSM1's flush loses what follows (its defects 1 and 3)
            else:
                db.checkpoint()
        if self.rng.randrange(4):  # leave a merge unfinished
            for _ in range(self.rng.randrange(2, 5)):
                self.changes(name, db)
                db.work(4, 1)
            for _ in range(self.rng.randrange(6)):
                db.work(2, 1)
        if self.rng.randrange(4) == 0:
            self.examine_live(name, db)
        db.close()

    def judge(self, path, name, answers, right):
        """Count LSM1's wrong answers; fail for ours."""
        wrong = [kind for kind in right if answers[kind] != right[kind]]
        self.seen["%s: compared" % name] += 1
        for kind in wrong:
            bad = [i for i, (a, b) in enumerate(zip(answers[kind], right[kind])) if a != b]
            known = kind == "GE" and self.range_starts(path).issuperset(self.asked[i] for i in bad)
            self.seen["%s: wrong %s%s" % (name, kind, " at the start of a range" if known else "")] += 1
            if name == "ours":
                raise Failure("our %s is wrong, first at %s: %r for %r (%d for %d)" % (
                    kind, bad[:1], answers[kind][bad[0]][:50] if bad else None,
                    right[kind][bad[0]][:50] if bad else None, len(answers[kind]), len(right[kind])))
        return not wrong

    def range_starts(self, path):
        """Keys of records in the file that begin a range and have no value."""
        db = self.dump.open_database(path)
        runs = [run for level in db.ckpt.levels for run in [level.lhs] + list(level.rhs)]
        return {bytes(record.key) for run in runs for record in db.records(run)
                if record.type & 1 and not record.type & 8}

    def oracle(self, path, right, what):
        db = self.dump.open_database(path)
        problems = self.problems(path)
        if problems and db.ckpt.redirects and all("merge input" in text for text in problems):
            # LSM1 gives up too much of an input whose blocks were moved; we never write that
            if self.mode == "ours":
                raise Failure("%s: a saved position was given up: %s" % (what, problems[:3]))
            raise Lsm1Fault("saved position of a moved input was given up")
        if problems:
            raise Failure("%s: the independent reader finds: %s" % (what, problems[:3]))
        content = [(bytes(key), bytes(value)) for key, value in self.dump.live_items(db)]
        if content != right["forward"]:
            raise Failure("%s: the independent reader sees other content" % what)
        for level in db.ckpt.levels:
            self.seen["levels"] += 1
            if level.rhs:
                self.seen["levels merging"] += 1
                if len(level.merge.inputs) > len(level.rhs):
                    self.seen["levels merging, index below is an input"] += 1
        if db.ckpt.redirects:
            self.seen["files with moved blocks"] += 1

    def problems(self, path):
        report = os.path.join(self.folder, "report")
        code = os.system("python3 %s %s check > %s 2>&1" % (self.dump.__file__, path, report))
        return open(report).read().splitlines() if code else []

    def examine_live(self, name, db):
        """Our own answers on the open connection."""
        if name == "ours":
            self.judge(self.path, name, db.answers(self.asked), expected(self.model, self.asked))

    def read_copy(self, name, right, what, finish):
        copy = os.path.join(self.folder, "copy")
        shutil.copy(self.path, copy)
        if os.path.exists(copy + "-log"):
            os.unlink(copy + "-log")
        db = self.open(name, copy)
        fine = self.judge(copy, name, db.answers(self.asked), right)
        self.seen["%s: %s" % (what, "right" if fine else "wrong")] += 1
        if finish:
            for _ in range(self.rng.randrange(20)):
                if db.work(2, 1 + self.rng.randrange(4)) == 0:
                    break
            db.work(1, -1)
            fine = self.judge(copy, name, db.answers(self.asked), right)
            self.seen["%s, merged: %s" % (what, "right" if fine else "wrong")] += 1
        db.close()
        if finish:
            self.oracle(copy, right, "%s merged by %s" % (what, name))

    def run(self):
        for turn in range(6):
            name = {"ours": "ours", "theirs": "lsm1"}.get(self.mode) or self.rng.choice(["ours", "lsm1"])
            self.turn = "turn %d (%s)" % (turn, name)
            self.session(name)
            if os.path.getsize(self.path) == 0:
                continue
            right = expected(self.model, self.asked)
            self.oracle(self.path, right, self.turn)
            for reader in ("ours", "lsm1"):
                self.read_copy(reader, right, "%s reads %s" % (reader, self.mode), True)


def run_one(arguments, seed):
    """In a process of its own. Returns (exit code, counts or message)."""
    folder = tempfile.mkdtemp(prefix="lsm-exchange-%s-%d-" % (arguments.mode, seed))
    out = os.path.join(folder, "out")
    child = os.fork()
    if child == 0:
        code = 0
        signal.alarm(TIMEOUT_SECONDS)
        history = None
        try:
            libraries = {"ours": ctypes.CDLL(arguments.ours), "lsm1": ctypes.CDLL(arguments.lsm1)}
            history = History(libraries, load_dump(arguments.dump), folder, arguments.mode, seed)
            try:
                history.run()
            except Lsm1Fault as fault:
                history.seen["lsm1: ended early, %s" % fault] += 1
            result = history.seen
        except Failure as failure:
            code, result = 1, "%s: %s" % (history.turn, failure)
        except EngineError as failure:
            code, result = 2, "%s: %s" % (history.turn, failure)
        except Exception as failure:  # what an engine wrote confuses the independent reader
            code, result = 1, "%s: %r" % (history and history.turn, failure)
        with open(out, "w") as file:
            json.dump(result, file)
        os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        result = "ended by signal %d" % os.WTERMSIG(status)
        return 3, "%s, files %s" % (result, folder)
    with open(out) as file:
        result = json.load(file)
    code = os.WEXITSTATUS(status)
    if code == 0:
        shutil.rmtree(folder)
        return 0, result
    return code, "%s, files %s" % (result, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ours")
    parser.add_argument("lsm1")
    parser.add_argument("dump")
    parser.add_argument("--mode", choices=["ours", "theirs", "mixed"], default="ours")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20)
    arguments = parser.parse_args()
    seen = collections.Counter()
    failed = 0
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        code, result = run_one(arguments, seed)
        if code == 0:
            seen.update(result)
            seen["histories"] += 1
        else:
            failed += 1
            print("FAIL mode %s seed %d: %s" % (arguments.mode, seed, result), flush=True)
    for name, count in sorted(seen.items()):
        print("%8d  %s" % (count, name))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
