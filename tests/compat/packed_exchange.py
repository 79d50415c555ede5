#!/usr/bin/env python3
"""Packed (compressed) files handed back and forth between this engine and the stock one, with the same codec.

    packed_exchange.py --library LIBLSM --reader lsmdump.py [--rounds N] [--seed N]

LIBLSM is this engine as a shared library. The stock engine is the Python package lsm-db (set PYTHONPATH); both
export the same C functions, which are called through ctypes. Each round takes a file through several hands: open
with a codec, compare the whole content (forwards, backwards, every key by EQ, GE and LE) with a plain dictionary,
change it at random (inserts, deletes, flushes, merges in small slices), close. After each hand
`lsmdump.py --codec NAME check` must be silent.

Each hand is a process of its own with a time limit. The stock engine is known to hang, to crash, to answer wrongly
and to write wrong files (its defects 45, 53, 54, 71, 73): what it does is counted, the file of before its hand is
put back, and the round goes on. What it wrote is handed on only if the independent reader finds it sound and with
the content of the dictionary: then any wrong answer of this engine is a failure. So is a hand of this engine that
hangs or crashes, or leaves a file of which the independent reader says otherwise.

Prints one line per failure with the command that repeats it, and the counts; exit status 1 if any failed.
"""
import argparse
import bisect
import collections
import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from ctypes import CFUNCTYPE, POINTER, byref, c_char, c_char_p, c_int, c_uint, c_void_p

TIMEOUT_SECONDS = {"stock": 30, "ours": 120}
WRONG_ANSWER, OTHER_ERROR = 3, 4  # exit status of a hand

BOUND = CFUNCTYPE(c_int, c_void_p, c_int)
PACK = CFUNCTYPE(c_int, c_void_p, POINTER(c_char), POINTER(c_int), POINTER(c_char), c_int)
FREE = CFUNCTYPE(None, c_void_p)
FACTORY = CFUNCTYPE(c_int, c_void_p, c_void_p, c_uint)


class Compress(ctypes.Structure):
    _fields_ = [("pCtx", c_void_p), ("iId", c_uint), ("xBound", BOUND), ("xCompress", PACK),
                ("xUncompress", PACK), ("xFree", FREE)]


class CompressFactory(ctypes.Structure):
    _fields_ = [("pCtx", c_void_p), ("xFactory", FACTORY), ("xFree", FREE)]


def rle_pack(data):
    out = bytearray()
    at = 0
    while at < len(data):
        run = 1
        while run < 255 and data[at + run:at + run + 1] == data[at:at + 1]:
            run += 1
        out += bytes((run, data[at]))
        at += run
    return bytes(out)


def rle_unpack(data):
    return b"".join(data[i + 1:i + 2] * data[i] for i in range(0, len(data), 2))


CODECS = {  # name: id, bound, pack, unpack
    "rle": (10001, lambda size: 2 * size, rle_pack, rle_unpack),
    "copy": (10002, lambda size: size, bytes, bytes),
}


def make_codec(name, ident=None):
    number, bound, pack, unpack = CODECS[name]

    def call(function):
        def run(_, out, out_size, data, size):
            result = function(ctypes.string_at(data, size))
            if len(result) > out_size[0]:
                return 13
            ctypes.memmove(out, result, len(result))
            out_size[0] = len(result)
            return 0
        return PACK(run)
    return Compress(None, number if ident is None else ident, BOUND(lambda _, size: bound(size)),
                    call(pack), call(unpack), FREE())


class WrongAnswer(AssertionError):
    pass


class Engine:
    """One connection, through the C functions that both engines export."""

    def __init__(self, library, path, codec, page, block_kb, factory):
        self.c = library
        self.db = c_void_p()
        self.codec = codec
        self.ok(self.c.lsm_new(None, byref(self.db)))
        for verb, value in ((2, page), (4, block_kb), (5, 0), (3, 0)):
            self.ok(self.c.lsm_config(self.db, verb, byref(c_int(value))))
        if factory:
            def supply(_, db, ident):
                assert ident == codec.iId, ident
                return self.c.lsm_config(c_void_p(db), 13, byref(codec))
            self.factory = CompressFactory(None, FACTORY(supply), FREE())
            self.ok(self.c.lsm_config(self.db, 15, byref(self.factory)))
        else:
            self.ok(self.c.lsm_config(self.db, 13, byref(codec)))
        self.ok(self.c.lsm_open(self.db, path.encode()))

    @staticmethod
    def ok(rc):
        if rc != 0:
            raise AssertionError("a call returned %d" % rc)

    def close(self):
        self.ok(self.c.lsm_close(self.db))

    def insert(self, key, value):
        self.ok(self.c.lsm_insert(self.db, key, len(key), value, len(value)))

    def delete(self, key):
        self.ok(self.c.lsm_delete(self.db, key, len(key)))

    def delete_range(self, low, high):
        self.ok(self.c.lsm_delete_range(self.db, low, len(low), high, len(high)))

    def flush(self):
        self.ok(self.c.lsm_flush(self.db))

    def work(self, merge, kb):
        self.ok(self.c.lsm_work(self.db, merge, kb, None))

    def checkpoint(self):
        self.ok(self.c.lsm_checkpoint(self.db, None))

    def entry(self, cursor):
        if not self.c.lsm_csr_valid(cursor):
            return None
        data, size = c_void_p(), c_int()
        self.ok(self.c.lsm_csr_key(cursor, byref(data), byref(size)))
        key = ctypes.string_at(data, size.value)
        self.ok(self.c.lsm_csr_value(cursor, byref(data), byref(size)))
        return key, ctypes.string_at(data, size.value)

    def check(self, content, seeks):
        cursor = c_void_p()
        self.ok(self.c.lsm_csr_open(self.db, byref(cursor)))
        keys = sorted(content)
        for first, step, order in ((self.c.lsm_csr_first, self.c.lsm_csr_next, keys),
                                   (self.c.lsm_csr_last, self.c.lsm_csr_prev, keys[::-1])):
            self.ok(first(cursor))
            for key in order:
                seen = self.entry(cursor)
                if seen != (key, content[key]):
                    raise WrongAnswer("scan: %r instead of %r" % (seen and seen[0], key))
                self.ok(step(cursor))
            if self.entry(cursor) is not None:
                raise WrongAnswer("scan: more than there is")
        for key in seeks:
            at = bisect.bisect_left(keys, key)
            here = keys[at] if at < len(keys) else None
            below = key if here == key else keys[at - 1] if at > 0 else None
            for mode, wanted in ((0, key if here == key else None), (1, here), (-1, below)):
                fresh = c_void_p()  # a used one may show the stock engine's entry of before
                self.ok(self.c.lsm_csr_open(self.db, byref(fresh)))
                self.ok(self.c.lsm_csr_seek(fresh, key, len(key), mode))
                seen = self.entry(fresh)
                self.ok(self.c.lsm_csr_close(fresh))
                if (seen and seen[0]) != wanted:
                    raise WrongAnswer("seek %d to %r: %r, not %r"
                                      % (mode, key, seen and seen[0], wanted))
        self.ok(self.c.lsm_csr_close(cursor))


def load(library):
    if library is None:
        import lsm
        library = lsm.__file__
    c = ctypes.CDLL(library)
    c.lsm_open.argtypes = [c_void_p, c_char_p]
    for name in ("lsm_insert",):
        getattr(c, name).argtypes = [c_void_p, c_char_p, c_int, c_char_p, c_int]
    c.lsm_delete.argtypes = [c_void_p, c_char_p, c_int]
    c.lsm_delete_range.argtypes = [c_void_p, c_char_p, c_int, c_char_p, c_int]
    c.lsm_csr_seek.argtypes = [c_void_p, c_char_p, c_int, c_int]
    return c


def change(db, content, rng):
    """Random changes to database and dictionary alike."""
    for _ in range(rng.randrange(1, 6)):
        for _ in range(rng.randrange(1, 150)):
            key = b"k%05d" % rng.randrange(400)
            if rng.random() < 0.8:
                value = bytes((rng.randrange(256),)) * rng.randrange(rng.choice((20, 20, 200, 3000)))
                db.insert(key, value)
                content[key] = value
            else:
                db.delete(key)
                content.pop(key, None)
        db.flush()
        if rng.random() < 0.6:
            db.work(rng.choice((2, 2, 4, 1)), rng.choice((1, 8, 64, -1)))
        if rng.random() < 0.6:
            db.checkpoint()


def hand(library, path, codec_name, ident, page, block_kb, factory, content, seed):
    """In a child process. Returns the content afterwards."""
    rng = random.Random(seed)
    codec = make_codec(codec_name, ident)
    db = Engine(load(library), path, codec, page, block_kb, factory)
    db.check(content, [b"k%05d" % rng.randrange(420) for _ in range(60)])
    change(db, content, rng)
    if library is not None:  # what the stock engine sees is not asked in the middle of its merges
        db.check(content, [b"k%05d" % i for i in range(0, 400, 3)])
    db.close()
    return content


class HandEnded(Exception):
    """A hand did not do what it should; `wrong` if it answered wrongly, else it failed, hung or crashed."""

    def __init__(self, text, wrong=False):
        super().__init__(text)
        self.wrong = wrong


def in_child(seconds, function, *arguments):
    """The dictionary that the function returns, called in a process that may live so long."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.alarm(seconds)  # without a handler: it ends a process that is in C, too
        status = OTHER_ERROR
        text = b""
        try:
            text = b"".join(b"%s %s\n" % (key.hex().encode(), value.hex().encode())
                            for key, value in function(*arguments).items())
            status = 0
        except WrongAnswer as error:
            text, status = str(error).encode(), WRONG_ANSWER
        except BaseException as error:
            text = repr(error).encode()
        with os.fdopen(writing, "wb") as out:
            out.write(text)
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as lines:
        text = lines.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        raise HandEnded("hung" if number == signal.SIGALRM else "crashed (signal %d)" % number)
    status = os.WEXITSTATUS(status)
    if status != 0:
        raise HandEnded(text, wrong=status == WRONG_ANSWER)
    pairs = (line.split(" ") for line in text.splitlines())
    return {bytes.fromhex(key): bytes.fromhex(value) for key, value in pairs}


def dump(args, codec, path, what):
    """The independent reader: (complaints, lines)."""
    done = subprocess.run([sys.executable, args.reader, "--codec", codec, path, what],
                          capture_output=True, text=True)
    return done.stderr or done.returncode, done.stdout


def is_content(args, codec, path, content):
    failed, text = dump(args, codec, path, "scan")
    wanted = "".join("%s\t%s\n" % (key.hex(), content[key].hex()) for key in sorted(content))
    return not failed and text == wanted


class Round:
    def __init__(self, args, seed, folder, counts):
        self.args, self.seed, self.counts = args, seed, counts
        rng = self.rng = random.Random(seed)
        self.codec = rng.choice(sorted(CODECS))
        self.ident = rng.choice((None, None, None, 1))
        self.page = rng.choice((256, 512, 1024, 4096))
        self.path = os.path.join(folder, "packed.db")
        self.content = {}
        self.stock_wrote = False

    def keep(self, back=False):
        """Copy database and log aside, or back."""
        for ending in ("", "-log"):
            pair = [self.path + ending, self.path + ".kept" + ending]
            source, target = reversed(pair) if back else pair
            if os.path.exists(target):
                os.unlink(target)
            if os.path.exists(source):
                shutil.copy(source, target)

    def stock(self, turn, factory):
        """The stock engine's turn: whatever goes wrong is counted and undone."""
        self.keep()
        try:
            content = self.hand(None, turn, factory)
            if any(dump(self.args, self.codec, self.path, "check")):
                raise HandEnded("wrote a file that the independent reader complains about")
            if not is_content(self.args, self.codec, self.path, content):
                raise HandEnded("wrote a file with wrong content")
        except HandEnded as error:
            what = "answered wrongly" if error.wrong else str(error)[:60]
            self.counts["stock: %s: skipped" % what] += 1
            self.keep(back=True)
            return
        self.content = content
        self.stock_wrote = True
        self.counts["stock: hands"] += 1

    def ours(self, turn, factory):
        """This engine's turn; a text if it failed."""
        self.keep()
        try:
            self.content = self.hand(self.args.library, turn, factory)
        except HandEnded as error:
            return "hand %d (ours): %s" % (turn, error)
        problem = dump(self.args, self.codec, self.path, "check")
        if any(problem):
            return "hand %d (ours): lsmdump: %s%s" % (turn, *problem)
        if not is_content(self.args, self.codec, self.path, self.content):
            return "hand %d (ours): the independent reader sees other content" % turn
        self.counts["ours: hands%s" % (", after the stock engine" if self.stock_wrote else "")] += 1
        self.stock_wrote = False
        return None

    def hand(self, library, turn, factory):
        seconds = TIMEOUT_SECONDS["ours" if library else "stock"]
        return in_child(seconds, hand, library, self.path, self.codec, self.ident, self.page, 64,
                        factory, self.content, self.seed * 100 + turn)

    def run(self):
        hands = [self.rng.choice((None, self.args.library)) for _ in range(4)] + [self.args.library]
        for turn, library in enumerate(hands):
            factory = turn > 0 and self.ident is None and self.rng.random() < 0.3
            factory = factory and os.path.exists(self.path) and os.path.getsize(self.path) > 0
            if library is None:
                self.stock(turn, factory)
                continue
            problem = self.ours(turn, factory)
            if problem:
                return problem
        return None


def one_round(args, seed, counts):
    with tempfile.TemporaryDirectory() as folder:
        return Round(args, seed, folder, counts).run()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True)
    parser.add_argument("--reader", required=True)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    failed = 0
    counts = collections.Counter()
    for seed in range(args.seed, args.seed + args.rounds):
        problem = one_round(args, seed, counts)
        if problem:
            failed += 1
            print("FAIL %s\n  repeat: %s --library %s --reader %s --rounds 1 --seed %d"
                  % (problem, sys.argv[0], args.library, args.reader, seed))
    for what, count in sorted(counts.items()):
        print("%8d  %s" % (count, what))
    print("%d rounds, %d failed" % (args.rounds, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
