#!/usr/bin/env python3
"""Packed (compressed) files handed back and forth between this engine and the stock one, with the same codec.

    packed_exchange.py --library LIBLSM --reader lsmdump.py [--rounds N] [--seed N]

LIBLSM is this engine as a shared library. The stock engine is the Python package lsm-db (set PYTHONPATH); both
export the same C functions, which are called through ctypes, each side in a process of its own, because it may
crash. Each round takes a file through several hands: open with a codec, compare the whole content (forwards,
backwards, every key by EQ, GE and LE) with a plain dictionary, change it at random (inserts, deletes, range
deletes, flushes, merges in small slices), close. After each hand `lsmdump.py --codec NAME check` must be silent.
Prints one line per failure with the command that repeats it; exit status 1 if any.
"""
import argparse
import bisect
import ctypes
import os
import random
import subprocess
import sys
import tempfile
import traceback
from ctypes import CFUNCTYPE, POINTER, byref, c_char, c_char_p, c_int, c_uint, c_void_p

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
                    raise AssertionError("scan: %r instead of %r" % (seen and seen[0], key))
                self.ok(step(cursor))
            if self.entry(cursor) is not None:
                raise AssertionError("scan: more than there is")
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
                    raise AssertionError("seek %d to %r: %r, not %r"
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
    """Random changes to database and dictionary alike. No range delete over a merge in progress of the stock
    engine is read by seeks there: its known faults are not ours to find."""
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
    if library is not None:  # see the docstring of `change`
        db.check(content, [b"k%05d" % i for i in range(0, 400, 3)])
    db.close()
    return content


def in_child(function, *arguments):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        status = 1
        try:
            result = function(*arguments)
            with os.fdopen(writing, "wb") as out:
                for key, value in result.items():
                    out.write(b"%s %s\n" % (key.hex().encode(), value.hex().encode()))
            status = 0
        except BaseException:
            traceback.print_exc()
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as lines:
        text = lines.read().decode()
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise AssertionError("the process ended with status %d" % status)
    pairs = (line.split(" ") for line in text.splitlines())
    return {bytes.fromhex(key): bytes.fromhex(value) for key, value in pairs}


def one_round(args, seed):
    rng = random.Random(seed)
    codec = rng.choice(sorted(CODECS))
    ident = rng.choice((None, None, None, 1))
    page = rng.choice((256, 512, 1024, 4096))
    hands = [rng.choice((None, args.library)) for _ in range(4)] + [args.library]
    content = {}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "packed.db")
        for turn, library in enumerate(hands):
            who = "ours" if library else "stock"
            factory = turn > 0 and ident is None and rng.random() < 0.3
            try:
                content = in_child(hand, library, path, codec, ident, page, 64, factory, content,
                                   seed * 100 + turn)
            except AssertionError as error:
                return "hand %d (%s): %s" % (turn, who, error)
            dump = subprocess.run([sys.executable, args.reader, "--codec", codec, path, "check"],
                                  capture_output=True, text=True)
            if dump.returncode != 0 or dump.stdout or dump.stderr:
                return "hand %d (%s): lsmdump: %s%s" % (turn, who, dump.stdout, dump.stderr)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True)
    parser.add_argument("--reader", required=True)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    failed = 0
    for seed in range(args.seed, args.seed + args.rounds):
        problem = one_round(args, seed)
        if problem:
            failed += 1
            print("FAIL %s\n  repeat: %s --library %s --reader %s --rounds 1 --seed %d"
                  % (problem, sys.argv[0], args.library, args.reader, seed))
    print("%d rounds, %d failed" % (args.rounds, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
