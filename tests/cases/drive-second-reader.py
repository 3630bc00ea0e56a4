#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A second client of the drive protocol, written from worker/proto/PROTOCOL.md alone.

Usage: drive-second-reader.py PORT list
       drive-second-reader.py PORT consistency DRIVE
       drive-second-reader.py PORT read DRIVE OUT     copies a drive, checking every leaf
       drive-second-reader.py PORT diff DRIVE OLD     prints the leaves that differ from OLD
       drive-second-reader.py PORT verbs DRIVE        uses what a plain copy does not
       drive-second-reader.py PORT progress DRIVE PID what PROGRESS says of the server's work
       drive-second-reader.py PORT hang DRIVE         reads a sector and says nothing any more
Plain connections only. Python's own xxhash and lz4 modules, nothing of this repository.
"""
import os
import signal
import socket
import struct
import sys
import time

import lz4.block
import xxhash

LEAF = 65536
HEADER = struct.Struct("<4sBBHIIQI")  # without the CRC
FIELD_DISK, FIELD_MUST = 32, 0x8000


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def fields(data):
    while data:
        number, length = struct.unpack_from("<HH", data)
        assert len(data) >= 4 + length, "a field ends too early"
        yield number & ~FIELD_MUST, bool(number & FIELD_MUST), data[4 : 4 + length]
        data = data[4 + length :]


def field(number, value):
    return struct.pack("<HH", number, len(value)) + value


class Client:
    def __init__(self, port, features=3):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=100)
        self.last_id = 0
        self.seed = int.from_bytes(os.urandom(8), "little")
        hello = (
            field(1 | FIELD_MUST, struct.pack("<HH", 1, 1))
            + field(2 | FIELD_MUST, os.urandom(16))
            + field(3 | FIELD_MUST, struct.pack("<Q", self.seed))
            + field(4, struct.pack("<I", features))
            + field(6, b"second reader")
            + field(9999, b"an optional field nobody knows")
        )
        _, _, welcome = self.ask(1, 2, payload=hello)
        got = {number: value for number, _, value in fields(welcome)}
        assert struct.unpack("<H", got[8])[0] == 1, "version"
        self.max_read = struct.unpack("<I", got[9])[0] if 9 in got else 1 << 20

    def receive(self, size):
        data = b""
        while len(data) < size:
            part = self.sock.recv(size - len(data))
            assert part, "the server closed the connection"
            data += part
        return data

    def send(self, kind, disk=0, off=0, raw=0, payload=b"", number=None):
        """Sends a frame; its id."""
        if number is None:
            self.last_id += 1
            number = self.last_id
        head = HEADER.pack(b"TWP1", kind, 0, disk, number, len(payload), off, raw)
        self.sock.sendall(head + struct.pack("<I", crc32c(head)) + payload)
        return number

    def frame(self):
        """Type, id, flags, raw, payload and offset of the next frame."""
        head = self.receive(32)
        magic, kind, flags, _, number, length, off, raw = HEADER.unpack(head[:28])
        assert magic == b"TWP1" and struct.unpack("<I", head[28:])[0] == crc32c(head[:28])
        return kind, number, flags, raw, self.receive(length), off

    def take_frame(self):
        """Type, id, flags, raw and payload of the next frame that is not to be skipped."""
        while True:
            got = self.frame()
            if got[0] < 0x80:
                return got[:5]

    def refused(self, kind, errno, **fields):
        number = self.send(kind, **fields)
        got, answered, _, raw, _ = self.take_frame()
        assert (got, answered, raw) == (10, number, errno), "no ERROR %d to type %d" % (errno, kind)

    def ask(self, kind, want, **fields):
        """Sends a request; flags, raw and payload of its reply."""
        self.send(kind, **fields)
        while True:
            kind, number, flags, raw, body = self.take_frame()
            assert number == self.last_id, "reply to something else"
            assert kind != 10, "ERROR %d: %s" % (raw, body.decode())
            assert kind == want, "type %d, not %d" % (kind, want)
            return flags, raw, body

    def drives(self):
        _, _, body = self.ask(3, 4)
        for number, _, value in fields(body):
            assert number == FIELD_DISK
            got = {n: v for n, _, v in fields(value)}
            yield (
                struct.unpack("<H", got[33])[0],
                got[37].decode(),
                struct.unpack("<Q", got[34])[0],
                got.get(40, b"").decode(),
            )

    def drive(self, name):
        for number, drive, size, _ in self.drives():
            if drive == name:
                return number, size
        raise SystemExit("no drive " + name)

    def hash(self, leaf):
        return xxhash.xxh3_128(leaf, seed=self.seed).digest()

    def take(self, length, reply):
        """The leaves of a DATA frame: bytes, or None where it says "same"."""
        flags, raw, body = reply
        same, zero = struct.unpack_from("<II", body)
        sizes = [min(LEAF, length - at) for at in range(0, length, LEAF)]
        sent = [i for i in range(len(sizes)) if not (same | zero) >> i & 1]
        hashes, data = body[8 : 8 + 16 * len(sent)], body[8 + 16 * len(sent) :]
        if flags & 1:
            data = lz4.block.decompress(data, uncompressed_size=raw)
        assert len(data) == raw == sum(sizes[i] for i in sent)
        leaves = [None if same >> i & 1 else bytes(sizes[i]) for i in range(len(sizes))]
        for k, i in enumerate(sent):
            leaves[i], data = data[: sizes[i]], data[sizes[i] :]
            assert self.hash(leaves[i]) == hashes[16 * k : 16 * k + 16], "damaged leaf"
        return leaves

    def extents(self, disk, size):
        at = 0
        while at < size:
            _, _, body = self.ask(5, 6, disk=disk, off=at)
            for length, kind, _ in struct.iter_unpack("<QII", body):
                assert 0 < length <= size - at
                yield at, length, kind
                at += length


def verbs(client, disk, size):
    state = next(fields(client.ask(3, 4, raw=1)[2]))[2]
    state = next(value for number, _, value in fields(state) if number == 42)
    client.ask(17, 20)  # FREEZE

    # CHANGED: nothing since this state, and no word about another; SNAPSHOT: not here.
    _, _, body = client.ask(13, 6, disk=disk, payload=state)
    assert struct.unpack("<QII", body) == (size, 2, 0), "CHANGED: %r" % body
    _, _, body = client.ask(13, 6, disk=disk, off=size - 1, payload=state)
    assert struct.unpack("<QII", body) == (1, 2, 0), "CHANGED at the end: %r" % body
    client.refused(13, 95, disk=disk, payload=state[:-1] + b"?")
    client.refused(13, 95, disk=disk)
    client.refused(13, 22, disk=disk, off=size, payload=state)
    client.refused(19, 95, disk=disk)

    # The journal, and another connection of nobody we know.
    bitmap = b"\x5a\xa5"
    client.ask(14, 20, disk=disk, payload=bitmap)
    assert client.ask(15, 16, disk=disk)[2] == bitmap, "RESUME"

    # The second MiB has to wait a minute at this rate; meanwhile PING is answered, what waits
    # behind it can be cancelled, and a new limit holds at once.
    client.send(25, off=16 << 10)
    reads = [client.send(7, disk=disk, off=i << 20, raw=1 << 20) for i in range(4)]
    hashing = client.send(11, disk=disk, raw=4 << 20)
    assert client.take_frame()[:2] == (9, reads[0]), "the first read"
    ping = client.send(21)
    assert client.take_frame()[:2] == (22, ping), "no PONG while a read waits"
    client.send(0x91, payload=b"something new that may be skipped")
    client.send(23, number=reads[2])
    client.send(23, number=hashing)
    client.send(25, off=0)
    replies = {}
    for _ in range(4):
        kind, number, _, raw, _ = client.take_frame()
        replies[number] = (kind, raw if kind == 10 else None)
    assert replies == {reads[1]: (9, None), reads[2]: (10, 125), reads[3]: (9, None),
                       hashing: (10, 125)}, "after LIMIT and CANCEL: %r" % replies
    client.send(25, off=16 << 10)
    reads = [client.send(7, disk=disk, off=i << 20, raw=1 << 20) for i in range(4)]
    assert client.take_frame()[:2] == (9, reads[0]), "the first read at the new limit"
    client.send(23, number=0)
    client.send(25, off=0)
    assert client.take_frame()[:2] in ((9, reads[1]), (10, reads[1])), "begun, or not yet"
    for number in reads[2:]:
        kind, answered, _, raw, _ = client.take_frame()
        assert (kind, answered, raw) == (10, number, 125), "CANCEL 0"

    # PROGRESS comes only when it takes long; either way the list is the one of the parts.
    whole = client.ask(11, 12, disk=disk, raw=4 << 20)[2]
    assert whole == b"".join(client.ask(11, 12, disk=disk, off=i << 20, raw=1 << 20)[2]
                             for i in range(4)), "HASH"
    client.ask(18, 20)  # THAW
    client.send(0x70)
    try:
        kind = client.take_frame()[0]
        raise SystemExit("an unknown type was answered by %d" % kind)
    except (AssertionError, OSError):
        pass


def bytes_read(pid):
    with open("/proc/%d/io" % pid) as io:
        return int(io.readline().split()[1])


def wait_stopped(pid):
    """A signal to stop is sent; each thread takes it when it next looks."""
    while True:
        states = []
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/stat" % (pid, task)) as stat:
                states.append(stat.read().rsplit(")", 1)[1].split()[0])
        if all(state == "T" for state in states):
            return
        time.sleep(0.01)


MIB = 1 << 20


def progress(client, disk, size, pid):
    """The server is stopped in the middle of a HASH: /proc tells how much it has read, PROGRESS has to
    say the same when it goes on, to the MiB that it was at."""
    span, seen = 64 * MIB, 0
    assert size == span, "a drive of 64 MiB expected"
    for _ in range(1000):
        before = bytes_read(pid)
        ids = [client.send(11, disk=disk, raw=span) for _ in range(12)]
        client.sock.recv(1, socket.MSG_PEEK)  # the first is answered, others are under way
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_stopped(pid)
            read = bytes_read(pid) - before
            if MIB / 2 < read % span < span - MIB / 2: # else there is nothing to be told
                time.sleep(1.3)
        finally:
            os.kill(pid, signal.SIGCONT)
        for at, number in enumerate(ids):
            told = []
            while True:
                kind, answered, _, raw, body, off = client.frame()
                assert answered == number and kind in (12, 0x80), "type %d to %d" % (kind, answered)
                if kind == 12:
                    break
                assert ([0] + told)[-1] < off <= span and not body, "PROGRESS: %r, %d" % (told, off)
                told.append(off)
            assert len(body) == 16 * span // LEAF, "hashes"
            stopped_at = read - at * span
            if MIB / 2 < stopped_at < span - MIB / 2: # else it was between two
                # What else it read (requests, clocks) is little. On a busy machine others came before.
                assert any(-MIB / 2 < off - stopped_at < 1.5 * MIB for off in told), (
                    "PROGRESS says %r, it had read %d" % (told, stopped_at))
                seen += 1
        if seen:
            return
    raise SystemExit("1000 times 12 hashes, and it never said how far it was")


def main():
    port, verb = int(sys.argv[1]), sys.argv[2]
    client = Client(port)
    if verb == "list":
        for number, name, size, generation in client.drives():
            print(number, name, size, generation)
        return
    if verb == "consistency":
        # As a client asks that is going to read.
        for _, _, value in fields(client.ask(3, 4, raw=1)[2]):
            got = {n: v for n, _, v in fields(value)}
            if got[37].decode() == sys.argv[3]:
                print(got[41].decode())
        return
    disk, size = client.drive(sys.argv[3])
    if verb == "read":
        with open(sys.argv[4], "wb") as out:
            out.truncate(size)
            for start, length, kind in client.extents(disk, size):
                for at in range(start, start + length if kind != 1 else start, client.max_read):
                    n = min(client.max_read, start + length - at)
                    reply = client.ask(7, 9, disk=disk, off=at, raw=n)
                    out.seek(at)
                    out.write(b"".join(client.take(n, reply)))
        return
    if verb == "verbs":
        verbs(client, disk, size)
        return
    if verb == "progress":
        progress(client, disk, size, int(sys.argv[4]))
        return
    if verb == "hang":
        client.ask(7, 9, disk=disk, raw=512)
        signal.pause()
    changed = []
    with open(sys.argv[4], "rb") as old:
        for at in range(0, size, client.max_read):
            have = old.read(min(client.max_read, size - at))
            leaves = [have[i : i + LEAF] for i in range(0, len(have), LEAF)]
            listed = client.ask(11, 12, disk=disk, off=at, raw=len(have))
            reply = client.ask(
                8, 9, disk=disk, off=at, raw=len(have), payload=b"".join(map(client.hash, leaves))
            )
            for i, leaf in enumerate(client.take(len(have), reply)):
                differs = listed[2][16 * i : 16 * i + 16] != client.hash(leaves[i])
                assert differs == (leaf is not None), "HASH and READ_IF_DIFF disagree"
                if leaf is not None:
                    changed.append(at // LEAF + i)
    client.ask(24, 20, raw=1)  # BYE: has everything
    print(*changed)


main()
