"""The published lsm-db, asked by the compatibility tests: one request a line, one answer a line, both JSON.

    {"op": "read", "path": P}            -> {"count": n, "hash": h, "reverse": h2}   recovers, scans both ways
    {"op": "write", "path": P, "ops": [..], "flush": bool, "options": {..}}  -> {"ok": true}
        an op: ["set", keyhex, valuehex] | ["delete", keyhex] | ["range", hex, hex] | ["begin"] | ["commit"]
    {"op": "get", "path": P, "keys": [hex, ..]} -> {"values": [hex or null, ..]}

The hash covers 4-byte lengths, keys and values in the order of the scan.
"""
import hashlib
import json
import struct
import sys

from lsm import LSM


def digest(pairs):
    h = hashlib.sha256()
    count = 0
    for key, value in pairs:
        h.update(struct.pack("<II", len(key), len(value)))
        h.update(key)
        h.update(value)
        count += 1
    return count, h.hexdigest()


def read(request):
    db = LSM(request["path"])
    try:
        count, forward = digest(db)
        _, reverse = digest(reversed(db))
        return {"count": count, "hash": forward, "reverse": reverse}
    finally:
        db.close()


def write(request):
    db = LSM(request["path"], **request.get("options", {}))
    try:
        for op in request["ops"]:
            args = [bytes.fromhex(arg) for arg in op[1:]]
            if op[0] == "set":
                db.insert(*args)
            elif op[0] == "delete":
                db.delete(*args)
            elif op[0] == "range":
                db.delete_range(*args)
            elif op[0] == "begin":
                db.begin()
            elif op[0] == "commit":
                db.commit()
            elif op[0] == "work":
                db.work(int(args[0]), int(args[1]))
        if request.get("flush"):
            db.flush()
    finally:
        db.close()
    return {"ok": True}


def get(request):
    db = LSM(request["path"])
    try:
        values = []
        for key in request["keys"]:
            try:
                values.append(db[bytes.fromhex(key)].hex())
            except KeyError:
                values.append(None)
        return {"values": values}
    finally:
        db.close()


OPERATIONS = {"read": read, "write": write, "get": get}

for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = OPERATIONS[request["op"]](request)
    except Exception as error:  # every failure is an answer: the tests decide what it means
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
