#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A client of the drive protocol that breaks one rule a connection. Usage: drive-evil-client.py PORT.

Written from worker/proto/PROTOCOL.md. The server must close each of these connections and not answer
what broke the rule; what only the drive can tell is an ERROR, and the connection goes on. Prints what
was served all the same."""
import os
import socket
import struct
import sys

port = int(sys.argv[1])
MUST, MIB = 0x8000, 1 << 20
HELLO, WELCOME, DISKS, EXTENTS, READ, DIFF, DATA, ERROR, HASH = 1, 2, 3, 5, 7, 8, 9, 10, 11
COMMIT, FREEZE, THAW, PING, PONG, CANCEL, BYE, LIMIT = 14, 17, 18, 21, 22, 23, 24, 25


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def frame(kind, number=77, payload=b"", off=0, raw=0, flags=0, disk=0, magic=b"TWP1", crc=0):
    head = struct.pack("<4sBBHIIQI", magic, kind, flags, disk, number, len(payload), off, raw)
    return head + struct.pack("<I", crc32c(head) ^ crc) + payload


def field(number, value):
    return struct.pack("<HH", number, len(value)) + value


def fields(**changes):
    """The fields of an honest HELLO by name, some of them changed; None leaves one out."""
    got = {
        "versions": field(1 | MUST, struct.pack("<HH", 1, 1)),
        "session": field(2 | MUST, os.urandom(16)),
        "seed": field(3 | MUST, bytes(8)),
        "features": field(4, struct.pack("<I", 3)),
        "credit": field(5, struct.pack("<I", MIB)),
        "job": field(6, b"evil"),
    }
    got.update(changes)
    return b"".join(value or b"" for value in got.values())


class Connection:
    def __init__(self, hello=None):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=200)
        self.send(frame(HELLO, 1, fields() if hello is None else hello))

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            pass  # the server may have seen enough of it: next() finds the end

    def next(self):
        """Type, id and raw of the next frame; None when the server has closed the connection."""
        try:
            head = self.get(32)
            _, kind, _, _, number, length, _, raw, _ = struct.unpack("<4sBBHIIQII", head)
            self.get(length)
            return kind, number, raw
        except (EOFError, OSError):
            return None

    def get(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data


def served(hello, *frames):
    """What came in answer to the last frame, or to a HELLO; None when the connection was closed."""
    c = Connection(hello)
    first = c.next()
    if hello is not None or first is None:
        return first
    assert first[0] == WELCOME
    c.send(b"".join(frames))
    while True:
        got = c.next()
        if got is None or got[1] == 77 or got[0] in (PONG, 20):
            return got


def slow(n, size=MIB):
    """Requests that are still open when the next frame comes: what they have to wait for is a minute."""
    return [frame(LIMIT, off=16 << 10)] + [frame(READ, i + 1, raw=size) for i in range(n)]


leaf = bytes(16)
rules = {
    "an unknown flag": [frame(READ, raw=512, flags=2)],
    "LZ4 on a request": [frame(READ, raw=512, flags=1)],
    "a flag on PING": [frame(PING, flags=0x80)],
    "a flag on LIMIT": [frame(LIMIT, flags=4), frame(PING)],
    "a flag on CANCEL": [frame(CANCEL, flags=1), frame(PING)],
    "an id twice": slow(2, 1 << 19) + [frame(HASH, 2, raw=512), frame(PING)],
    "reads above the credit": slow(3) + [frame(PING)],
    "READ of nothing": [frame(READ, raw=0)],
    "READ above the maximum": [frame(READ, raw=MIB + 1)],
    "HASH above the maximum": [frame(HASH, raw=(64 << 20) + 1)],
    "hashes that are not there": [frame(DIFF, raw=512)],
    "a hash too many": [frame(DIFF, raw=65536, payload=leaf * 2)],
    "a payload on READ": [frame(READ, raw=512, payload=b"?")],
    "a payload on PING": [frame(PING, payload=bytes(100))],
    "a drive on FREEZE": [frame(FREEZE, disk=1)],
    "a drive on THAW": [frame(THAW, disk=65535)],
    "DISKS with raw 2": [frame(DISKS, raw=2)],
    "type 0": [frame(0)],
    "type 26": [frame(26)],
    "type 0x7f": [frame(0x7F)],
    "a reply": [frame(DATA, payload=bytes(8))],
    "HELLO again": [frame(HELLO, payload=fields())],
    "wrong magic": [frame(PING, magic=b"TWP2")],
    "wrong CRC": [frame(PING, crc=1)],
}
greetings = {
    "HELLO without versions": fields(versions=None),
    "HELLO without a session": fields(session=None),
    "HELLO without a seed": fields(seed=None),
    "HELLO with two sessions": fields() + field(2 | MUST, os.urandom(16)),
    "HELLO with a session of 15 bytes": fields(session=field(2 | MUST, bytes(15))),
    "HELLO with a field that ends too early": fields() + b"\6\0\xff\0",
    "HELLO of a MiB": fields() + field(99, bytes(65000)) * 16,
    "HELLO with versions 2 to 1": fields(versions=field(1 | MUST, struct.pack("<HH", 2, 1))),
}
# Only the drive can tell: ERROR with this number of Linux, and the connection goes on.
errors = {
    "READ behind the end": (22, frame(READ, off=1 << 60, raw=512)),
    "a journal larger than the drive": (22, frame(COMMIT, payload=bytes(1000))),
    "READ of no drive": (19, frame(READ, disk=9, raw=512)),
}
bad = 0
for what, frames in rules.items():
    got = served(None, *frames)
    if got is not None:
        print("%s: frame of type %d came" % (what, got[0]))
        bad = 1
for what, hello in greetings.items():
    got = served(hello)
    if got is not None:
        print("%s: frame of type %d came" % (what, got[0]))
        bad = 1
for what, (errno, wrong) in errors.items():
    got = served(None, wrong)
    if got is None or (got[0], got[2]) != (ERROR, errno):
        print("%s: %r" % (what, got))
        bad = 1
# A session that another job has begun is not joined.
first = Connection(fields(session=field(2 | MUST, b"s" * 16)))
assert first.next()[0] == WELCOME
got = served(fields(session=field(2 | MUST, b"s" * 16), job=field(6, b"another")))
if got is None or (got[0], got[2]) != (BYE, 5):
    print("a session of another job: %r" % (got,))
    bad = 1
sys.exit(bad)
