#!/usr/bin/env python3
"""Make the golden files of this folder with stock LSM1, used as a black box.

    pip install lsm-db==0.7.3
    python3 make_golden.py [OUTPUT_FOLDER]

The published binding carries the whole engine as one extension module; its C functions are called through
ctypes, because the binding itself does not show all of them. Runs on systems where the wheel exists.

    two_inserts.db    format, worked example 16.1: one page, default sizes
    indexed.db        like 16.2: pages of 256 bytes, a value that spills, an index
    separators.db     like 16.3: a run with separators, pointers and a range delete on top of it
    merging.db        like 16.4: after one small instalment of a merge
    packed.db         16.5: compressed by a toy run-length codec
    packed_runs.db    the same codec, three runs, a merge in progress; several frames and padding
    large_keys.db     keys from 5 bytes to 2 pages: indirect index keys, pages outside the index

Each NAME.db has NAME.txt: the live content, one KEY<TAB>VALUE in hex per line. Made again, the .db files may
differ in bytes without meaning: LSM1 leaves some unset.
"""
import ctypes
import os
import random
import shutil
import sys
import tempfile

import lsm  # the extension module of lsm-db

ENGINE = ctypes.CDLL(lsm.__file__)
PAGE_SIZE, SAFETY, BLOCK_SIZE, AUTOWORK, MMAP, SET_COMPRESSION = 2, 3, 4, 5, 7, 13

BOUND = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
CODE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int),
                        ctypes.c_void_p, ctypes.c_int)
FREE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Compress(ctypes.Structure):
    _fields_ = [("context", ctypes.c_void_p), ("id", ctypes.c_uint), ("bound", BOUND),
                ("compress", CODE), ("uncompress", CODE), ("free", FREE)]


def rle_encode(data):
    out, at = bytearray(), 0
    while at < len(data):
        end = at
        while end < len(data) and data[end] == data[at] and end - at < 255:
            end += 1
        out += bytes((end - at, data[at]))
        at = end
    return bytes(out)


def rle_decode(data):
    return b"".join(data[i + 1:i + 2] * data[i] for i in range(0, len(data), 2))


def hook(function):
    def call(_context, out, out_size, source, size):
        result = function(ctypes.string_at(source, size))
        if len(result) > out_size[0]:
            return 1
        ctypes.memmove(out, result, len(result))
        out_size[0] = len(result)
        return 0
    return CODE(call)


def check(rc):
    if rc != 0:
        raise RuntimeError("result code %d" % rc)


class Database:
    """A connection and a plain model of what it should hold."""

    def __init__(self, path, page_size=None, block_kb=None, packed=False):
        self.handle, self.model = ctypes.c_void_p(), {}
        check(ENGINE.lsm_new(None, ctypes.byref(self.handle)))
        for verb, value in ((PAGE_SIZE, page_size), (BLOCK_SIZE, block_kb), (AUTOWORK, 0), (MMAP, 0),
                            (SAFETY, 0)):
            if value is not None:
                check(ENGINE.lsm_config(self.handle, verb, ctypes.byref(ctypes.c_int(value))))
        if packed:
            self.hooks = Compress(None, 10002, BOUND(lambda _context, size: 2 * size),
                                  hook(rle_encode), hook(rle_decode), FREE())
            check(ENGINE.lsm_config(self.handle, SET_COMPRESSION, ctypes.byref(self.hooks)))
        check(ENGINE.lsm_open(self.handle, path.encode()))

    def begin(self):
        check(ENGINE.lsm_begin(self.handle, 1))

    def commit(self):
        check(ENGINE.lsm_commit(self.handle, 0))

    def insert(self, key, value):
        check(ENGINE.lsm_insert(self.handle, key, len(key), value, len(value)))
        self.model[key] = value

    def delete(self, key):
        check(ENGINE.lsm_delete(self.handle, key, len(key)))
        self.model.pop(key, None)

    def delete_range(self, left, right):
        check(ENGINE.lsm_delete_range(self.handle, left, len(left), right, len(right)))
        for key in [k for k in self.model if left < k < right]:
            del self.model[key]

    def flush(self):
        check(ENGINE.lsm_flush(self.handle))

    def work(self, merge, kb):
        check(ENGINE.lsm_work(self.handle, merge, kb, ctypes.byref(ctypes.c_int())))

    def checkpoint(self):
        check(ENGINE.lsm_checkpoint(self.handle, None))

    def close(self):
        check(ENGINE.lsm_close(self.handle))


class Maker:
    def __init__(self, out):
        self.out, self.folder = out, tempfile.mkdtemp()

    def open(self, **options):
        self.path = os.path.join(self.folder, "%d.db" % len(os.listdir(self.folder)))
        return Database(self.path, **options)

    def save(self, db, name):
        """Copy the file as it is now; the connection may still be open."""
        shutil.copyfile(self.path, os.path.join(self.out, name + ".db"))
        with open(os.path.join(self.out, name + ".txt"), "w") as text:
            for key, value in sorted(db.model.items()):
                text.write("%s\t%s\n" % (key.hex(), value.hex()))


def main():
    make = Maker(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)))

    db = make.open()
    db.insert(b"k1", b"v1")
    db.insert(b"k2", b"hello")
    db.delete(b"k3")
    db.close()
    make.save(db, "two_inserts")

    db = make.open(page_size=256, block_kb=64)
    db.begin()
    for i in range(42):
        db.insert(b"k%03d" % i, b"V" * 300 if i == 10 else b"v" * i)
    db.commit()
    db.flush()
    db.checkpoint()
    make.save(db, "indexed")
    db.begin()
    db.insert(b"k005", b"new")
    db.delete_range(b"k015", b"k025")
    db.delete(b"k030")
    db.commit()
    db.flush()
    db.checkpoint()
    make.save(db, "separators")
    db.work(2, 1)
    db.checkpoint()
    make.save(db, "merging")
    db.close()

    db = make.open(page_size=256, block_kb=64, packed=True)
    db.insert(b"k1", b"v1")
    db.close()
    make.save(db, "packed")

    db = make.open(page_size=512, block_kb=64, packed=True)
    numbers = random.Random(5)
    for _ in range(3):
        db.begin()
        for _ in range(60):
            db.insert(b"%04d" % numbers.randrange(500), bytes([97 + numbers.randrange(26)]) *
                      numbers.choice((0, 3, 40, 200, 900)))
        db.commit()
        db.delete_range(b"0100", b"0120")
        db.flush()
    db.work(2, 2)
    db.checkpoint()
    make.save(db, "packed_runs")
    db.close()

    db = make.open(page_size=256, block_kb=64)
    numbers = random.Random(7)
    db.begin()
    for i in range(60):
        key = b"%05d" % (i * 7) + b"x" * numbers.choice((0, 5, 40, 70, 200, 512))
        db.insert(key, b"v" * numbers.choice((0, 10, 100)))
    db.commit()
    db.flush()
    db.checkpoint()
    make.save(db, "large_keys")
    db.close()


if __name__ == "__main__":
    main()
