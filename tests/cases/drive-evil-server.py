#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A server of the drive protocol that breaks one rule. Usage: drive-evil-server.py PORT-FILE.

Written from worker/proto/PROTOCOL.md. It serves a drive "sda" of 4 MiB of 0xab (or of the size that
a lie size-N names, zeroes but for the last MiB) as honestly as the lie allows. The lie is the
session's job, LIE.NUMBER: a session more with the same job is the same one that comes back."""
import collections
import os
import socket
import struct
import sys
import threading

import lz4.block
import xxhash

port_file = sys.argv[1]
LEAF, MUST, MIB = 65536, 0x8000, 1 << 20
HEADER = struct.Struct("<4sBBHIIQI")
here = threading.local()  # lie, size, data_from of the connection
connections = collections.Counter()  # by job
told = set()  # jobs whose lie that is told once was told


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def field(number, value):
    return struct.pack("<HH", number, len(value)) + value


def frame(kind, number=0, payload=b"", off=0, raw=0, flags=0, length=None):
    head = HEADER.pack(b"TWP1", kind, flags, 0, number, len(payload) if length is None else length,
                       off, raw)
    return head + struct.pack("<I", crc32c(head)) + payload


def once():
    """Whether this lie is still to be told."""
    if here.job in told:
        return False
    told.add(here.job)
    return True


def begin(job):
    here.job = job
    here.lie = job.split(".")[0]
    sized = here.lie.startswith("size-")
    here.size = int(here.lie[5:]) if sized else 4 * MIB
    here.data_from = here.size - MIB if sized else 0
    connections[job] += 1
    return connections[job]


def content(off, n):
    zeroes = min(max(here.data_from - off, 0), n)
    return bytes(zeroes) + b"\xab" * (n - zeroes)


def welcome(number):
    version = {"version-2": 2, "version-0": 0}.get(here.lie, 1)
    features = {"no-hash": 1, "all-features": 0xFFFFFFFF}.get(here.lie, 3)
    body = field(8 | MUST, struct.pack("<H", version)) + field(4 | MUST, struct.pack("<I", features))
    body += field(5, struct.pack("<I", {"no-credit": 0, "much-credit": 0xFFFFFFFF}.get(here.lie, 8 * MIB)))
    body += field(9, struct.pack("<I", {"max-read-0": 0, "max-read-odd": 100001}.get(here.lie, MIB)))
    body += field(10, struct.pack("<H", {"no-connections": 0, "many-connections": 65535}.get(here.lie, 8)))
    body += {
        "must-unknown": field(77 | MUST, b"?"),
        "may-unknown": field(77, b"?" * 5000),
        "field-too-long": struct.pack("<HH", 7, 60000),
        "half-field": b"\7\0\1",
        "short-number": field(5, b"\1"),
        "build-text": field(7, b"%s%n\x1b[2J\0" * 500),
        "field-twice": field(5, struct.pack("<I", MIB)),
    }.get(here.lie, b"")
    return frame(2, number, body)


def disks(number, connection):
    size = {"negative-size": 1 << 63, "huge-size": (1 << 64) - 1}.get(here.lie, here.size)
    if here.lie == "other-size" and connection > 1:
        size += 512
    state = b"one"
    if here.lie == "state-changes":
        state = b"state %d" % connection
    one = field(33 | MUST, b"\0\0")
    one += b"" if here.lie == "no-size" else field(34 | MUST, struct.pack("<Q", size))
    one += field(36, struct.pack("<I", 2))
    one += field(37 | MUST, b"other" if here.lie == "other-name" else b"sda")
    one += b"" if here.lie == "no-state" else field(42 | MUST, state)
    one += field(35, struct.pack("<II", {"sector-0": 0, "sector-3": 3, "sector-huge": 1 << 31}.get(
        here.lie, 512), 512))
    if here.lie == "disk-must-unknown":
        one += field(99 | MUST, b"?")
    body = field(32, one)
    if here.lie == "disk-field-twice":
        body = field(32, one + field(34 | MUST, struct.pack("<Q", size // 2)))
    if here.lie == "disk-twice":
        body += body
    if here.lie == "half-disk":
        body = body[:-3]
    if here.lie == "no-disks":
        body = b""
    return frame(4, number, body)


def extents(number, off):
    left = here.size - off
    if here.data_from:
        zeroes = max(here.data_from - off, 0)
        honest = ([(zeroes, 1)] if zeroes else []) + [(left - zeroes, 0)]
    else:
        honest = [(left, 0)]
    lists = {
        "extent-empty": [(MIB, 0), (0, 0), (left - MIB, 0)],
        "extent-long": [(left + 1, 0)],
        "extent-far": [((1 << 64) - 1, 0)],
        "extent-wraps": [(left, 0), ((1 << 64) - left + 512, 1)],
        "extent-4g": [(1 << 32, 1)],
        "extents-none": [],
        "extents-many": [(1, 0)] * 4097,
        "extents-early": [(min(left, 1000), 0)],
        "extent-kind": [(left, 7)],
    }
    tail = here.lie == "extent-tail"
    body = b"".join(struct.pack("<QII", n, kind, tail) for n, kind in lists.get(here.lie, honest))
    if here.lie == "extents-odd":
        body += b"?"
    return frame(6, number, body, off, flags=here.lie == "extent-flags")


def parts(data, have, seed):
    """The two bitmaps, the hashes and the bytes of a DATA frame."""
    same = zero = 0
    hashes = rest = b""
    for i in range(0, len(data), LEAF):
        leaf = data[i : i + LEAF]
        h = xxhash.xxh3_128(leaf, seed=seed).digest()
        if have and have[i // LEAF * 16 :][:16] == h:
            same |= 1 << i // LEAF
        elif not leaf.strip(b"\0"):
            zero |= 1 << i // LEAF
        else:
            hashes += h
            rest += leaf
    return same, zero, hashes, rest


def read(number, off, n, have, seed):
    data = content(off, n)
    same, zero, hashes, rest = parts(data, have, seed)
    leaves = (n + LEAF - 1) // LEAF

    def answer(same=same, zero=zero, hashes=hashes, rest=rest, raw=len(rest), flags=0, off=off,
               number=number, kind=9):
        return frame(kind, number, struct.pack("<II", same, zero) + hashes + rest, off, raw, flags)

    packed = lz4.block.compress(rest, store_size=False)
    if have and here.lie.startswith("diff-"):
        h = xxhash.xxh3_128(data[:LEAF], seed=seed).digest()
        return {
            "diff-bit-outside": answer(same=same | 1 << leaves),
            "diff-both-bitmaps": answer(same=1, zero=1),
            "diff-short": answer(same=0),
            "diff-differs": answer(same=same & ~1, hashes=h, rest=data[:LEAF], raw=len(data[:LEAF])),
        }[here.lie]
    lies = {
        "never-asked": lambda: answer(number=number + 77),
        "twice": lambda: answer() + answer(),
        "other-offset": lambda: answer(off=off + LEAF),
        "offset-4g": lambda: answer(off=off + (1 << 32)),
        "short": lambda: answer(rest=rest[:-1]),
        "short-told": lambda: answer(rest=rest[:-1], raw=len(rest) - 1),
        "long": lambda: answer(rest=rest + b"?"),
        "long-told": lambda: answer(rest=rest + b"?", raw=len(rest) + 1),
        "no-data": lambda: frame(9, number, b"", off, len(rest)),
        "half-bitmap": lambda: frame(9, number, b"\0" * 7, off, len(rest)),
        "missing-hash": lambda: answer(hashes=hashes[16:]),
        "same-in-read": lambda: answer(same=1, hashes=hashes[16:], rest=rest[LEAF:]),
        "bit-outside": lambda: answer(zero=zero | 1 << leaves) if leaves < 32 else answer(),
        "both-bitmaps": lambda: answer(same=1, zero=1, hashes=hashes[16:], rest=rest[LEAF:]),
        "raw-4g": lambda: answer(raw=0xFFFFFFFF),
        "wrong-hash": lambda: answer(hashes=b"\1" * len(hashes)),
        "wrong-byte": lambda: answer(rest=rest[:-1] + b"\xaa"),
        "lz4-truncated": lambda: answer(rest=packed[:-3], flags=1),
        "lz4-garbage": lambda: answer(rest=b"\xff" * 1000, flags=1),
        "lz4-bomb": lambda: answer(rest=lz4.block.compress(bytes(64 * MIB), store_size=False)[:60000],
                                   flags=1),
        "lz4-empty": lambda: answer(rest=b"", flags=1),
        "lz4-longer": lambda: answer(rest=rest + b"?", flags=1),
        "flag-unknown": lambda: answer(flags=2),
        "lz4-and-more": lambda: answer(rest=packed, flags=1 | 64),
        "error-flags": lambda: frame(10, number, b"?", off, 5, 1),
        "lz4-honest": lambda: answer(rest=packed, flags=1),
        "reply-type": lambda: answer(kind=12),
        "unknown-type": lambda: frame(0x70, number, b"?") + answer(),
        "request-type": lambda: frame(7, number) + answer(),
        "may-skip-type": lambda: frame(0x91, number, b"?" * 1000) + answer(),
        "progress-of-nothing": lambda: frame(0x80, 0xFFFFFFFF, b"", (1 << 64) - 1) + answer(),
        "pings": lambda: b"".join(frame(21, i) for i in range(300)) + answer(),
        "pongs": lambda: b"".join(frame(22, i) for i in range(300)) + answer(),
        "error-4g": lambda: frame(10, number, b"?", off, 0xFFFFFFFF),
        "error-0": lambda: frame(10, number, b"", off, 0),
        "error-text": lambda: frame(10, number, b"%n\x1b" * 300000, off, 13),
        "error-never-asked": lambda: frame(10, number + 77, b"", off, 5),
        "wrong-magic": lambda: b"\x12" * 32,
        "wrong-crc": lambda: answer()[:31] + b"?",
        "length-4g": lambda: frame(9, number, b"", off, len(rest), 0, 0xFFFFFFFF),
        "length-over": lambda: frame(9, number, b"", off, len(rest), 0, 1114113),
        "wrong-hash-once": lambda: answer(hashes=b"\1" * len(hashes)) if once() else answer(),
        "lz4-truncated-once": lambda: answer(rest=packed[:-3], flags=1) if once() else answer(),
    }
    return lies[here.lie]() if here.lie in lies else answer()


def hashes(number, off, n, seed):
    data = content(off, n)
    body = b"".join(xxhash.xxh3_128(data[i : i + LEAF], seed=seed).digest() for i in range(0, n, LEAF))
    return frame(12, number, body, off, n)


def get(c, n):
    data = b""
    while len(data) < n:
        more = c.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def reply(c, connection, seed):
    """Answers one request; False when the session is over."""
    _, kind, _, _, number, length, off, raw = HEADER.unpack(get(c, 32)[:28])
    payload = get(c, length)
    if kind == 3:
        c.sendall(disks(number, connection))
    elif kind == 5:
        c.sendall(extents(number, off))
    elif kind in (7, 8):
        c.sendall(read(number, off, raw, payload, seed))
    elif kind == 11:
        c.sendall(hashes(number, off, raw, seed))
    elif kind == 15:
        c.sendall(frame(16, number, {"journal-full": b"\xff", "journal-long": b"\xff" * 9,
                                     "journal-huge": b"\xff" * MIB}.get(here.lie, b"")))
    elif kind in (14, 17, 18):
        c.sendall(frame(4 if here.lie == "wrong-done" else 20, number))
    elif kind == 21:
        c.sendall(frame(22, number))
    elif kind == 24:
        c.sendall(frame(20, number))
        return False
    return True


def serve(c):
    try:
        _, kind, _, _, number, length, _, _ = HEADER.unpack(get(c, 32)[:28])
        hello = get(c, length)
        fields = {}
        while hello:
            what, n = struct.unpack_from("<HH", hello)
            fields[what & ~MUST] = hello[4 : 4 + n]
            hello = hello[4 + n :]
        seed = struct.unpack("<Q", fields[3])[0]
        connection = begin(fields[6].decode())
        c.sendall({"bye-tls": frame(24, raw=2), "bye-version": frame(24, raw=3, payload=b"%n" * 900),
                   "welcome-for-other": welcome(number ^ 5),
                   }.get(here.lie) or welcome(number))
        while reply(c, connection, seed):
            continue
    except (EOFError, OSError):
        pass
    finally:
        c.close()


listener = socket.create_server(("127.0.0.1", 0))
with open(port_file + ".new", "w", encoding="ascii") as f:
    f.write(str(listener.getsockname()[1]))
os.rename(port_file + ".new", port_file)
while True:
    client, _ = listener.accept()
    threading.Thread(target=serve, args=(client,), daemon=True).start()
