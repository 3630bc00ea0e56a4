#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of the fuzzers of the drive protocol: tests/fuzz/corpus/{proto,serve,drive}/.
Usage: drive-seeds.py FOLDER. Each seed is a session or a frame that is right; the formats stand at
the top of fuzz-proto.c, fuzz-serve.c and fuzz-drive.c, the protocol in worker/proto/PROTOCOL.md."""
import os
import struct
import sys

MUST, MIB = 0x8000, 1 << 20


def field(number, value):
    return struct.pack("<HH", number, len(value)) + value


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def to_server(kind, number=1, off=0, raw=0, payload=b"", disk=0):
    return struct.pack("<BBBBIQIH", kind, 0, disk, 0, number, off, raw, len(payload)) + payload


def to_client(kind, number, off=0, raw=0, payload=b"", flags=0):
    return struct.pack("<BBBBIIHHH", kind, flags, number, 0, off, raw, len(payload), 0, 0) + payload


HEAD = struct.pack("<4sBBHIIQI", b"TWP1", 7, 0, 1, 2, 0, 65536, 512)
HELLO = (field(1 | MUST, struct.pack("<HH", 1, 1)) + field(2 | MUST, bytes(16))
         + field(3 | MUST, bytes(8)) + field(4, struct.pack("<I", 3))
         + field(5, struct.pack("<I", 8 * MIB)) + field(6, b"job") + field(7, b"build 1"))
WELCOME = (field(8 | MUST, b"\1\0") + field(4 | MUST, struct.pack("<I", 3))
           + field(5, struct.pack("<I", 8 * MIB)) + field(9, struct.pack("<I", MIB))
           + field(10, b"\2\0") + field(7, b"build 1"))
DISK = field(32, field(33 | MUST, b"\0\0") + field(34 | MUST, struct.pack("<Q", 4 * MIB))
             + field(35, struct.pack("<II", 512, 4096)) + field(36, struct.pack("<I", 3))
             + field(37 | MUST, b"sda") + field(38, b"serial") + field(39, b"model")
             + field(40, b"generation") + field(41, b"crash") + field(42 | MUST, b"state"))
EXTENTS = struct.pack("<QIIQII", MIB // 2, 0, 0, MIB // 2, 1, 0)
ZEROES = struct.pack("<II", 0, 3)  # both leaves of a READ of 64 KiB and a byte
LEAF = struct.pack("<II", 0, 0) + bytes(16) + b"x" * 1000
PACKED = struct.pack("<II", 0, 0) + bytes(16) + b"\x1fx\1\0" + b"\xff" * 3 + b"\xd2\x50xxxxx"

seeds = {
    "proto/header": b"\0" + HEAD + struct.pack("<I", crc32c(HEAD)),
    "proto/hello": b"\1" + HELLO,
    "proto/welcome": b"\2" + WELCOME,
    "proto/disks": b"\3" + DISK + DISK,
    "proto/extents": b"\4" + EXTENTS,
    "proto/data-zeroes": b"\5" + struct.pack("<IIB", 0, 65537, 0) + ZEROES,
    "proto/data-leaf": b"\5" + struct.pack("<IIB", 1000, 1000, 0) + LEAF,
    "proto/data-lz4": b"\5" + struct.pack("<IIB", 1000, 1000, 1) + PACKED,
    "serve/greeting": b"\0" + to_server(1, payload=HELLO) + to_server(3),
    "serve/reads": b"\1" + to_server(3, raw=1) + to_server(5, 2) + to_server(7, 3, 0, MIB)
    + to_server(8, 4, 0, 1000, bytes(16)) + to_server(11, 5, 0, 65537),
    "serve/journal": b"\1" + to_server(14, payload=b"\5") + to_server(15, 2) + to_server(24, 3, raw=1),
    "serve/verbs": b"\1" + to_server(17) + to_server(13, 2, payload=b"0123456789abcdef")
    + to_server(19, 3) + to_server(25, off=1 << 40) + to_server(21, 4) + to_server(7, 5, raw=512)
    + to_server(23, 5) + to_server(23, 0) + to_server(18, 6) + to_server(24, 7),
    "serve/refused": b"\1" + to_server(7, off=(1 << 64) - 1, raw=2) + to_server(7, 2, disk=1, raw=1)
    + to_server(0x91, payload=b"?") + to_server(8, 3, raw=512),
    # Ids as the client counts: two reads, then the list of extents, then the hashes.
    "drive/session": to_client(9, 2, 0, 0, ZEROES) + to_client(9, 3, 65536, 1000, LEAF)
    + to_client(6, 0x84, payload=struct.pack("<QII", MIB, 0, 0))
    + to_client(12, 0x85, payload=bytes(256)),
    "drive/lz4": to_client(9, 3, 65536, 1000, PACKED, 1) + to_client(6, 0x84, payload=EXTENTS),
    "drive/errors": to_client(10, 2, raw=5, payload=b"sector") + to_client(10, 3, raw=116)
    + to_client(10, 0x84, raw=95),
    "drive/between": to_client(21, 7) + to_client(22, 0) + to_client(0x80, 0x85, off=4096)
    + to_client(24, 0, payload=b"stopped"),
}

for name, data in seeds.items():
    path = os.path.join(sys.argv[1], name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
