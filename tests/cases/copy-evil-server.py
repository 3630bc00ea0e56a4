# SPDX-License-Identifier: Apache-2.0
"""An NBD server that breaks one rule. Usage: copy-evil-server.py SOCKET LIE; serves 4 MiB of
0xab to the first connections honestly as far as the lie allows."""
import os
import socket
import struct
import sys
import threading

path, lie = sys.argv[1:3]
SIZE = 4 << 20
ACK, INFO, META = 1, 3, 4


def get(c, n):
    data = b""
    while len(data) < n:
        more = c.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def reply(c, option, kind, data=b"", length=None):
    c.sendall(struct.pack(">QIII", 0x3E889045565A9, option, kind,
                          len(data) if length is None else length) + data)


def negotiate(c):
    c.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
    get(c, 4)
    while True:
        _, option, length = struct.unpack(">QII", get(c, 16))
        data = get(c, length)
        if lie == "long-option-reply":
            reply(c, option, 0x80000001, b"", 0xFFFFFFF0)
            c.sendall(b"A" * 100000)
        elif lie == "wrong-option" and option == 8:
            reply(c, 99, ACK)
        elif option == 5 and lie == "before-tls":
            reply(c, option, ACK)
            c.sendall(b"injected data in front of the handshake")
        elif option == 8:
            reply(c, option, ACK)
        elif option == 10:
            if lie == "endless-meta":
                for i in range(5000):
                    reply(c, option, META, struct.pack(">I", i) + b"x")
            reply(c, option, META, struct.pack(">I", 1) + b"base:allocation")
            reply(c, option, ACK)
        elif option == 7:
            size = {"negative-size": 1 << 63, "huge-size": (1 << 64) - 1}.get(lie, SIZE)
            reply(c, option, INFO, struct.pack(">HQH", 0, size, 0x101))
            if lie == "bad-block-size":
                reply(c, option, INFO, struct.pack(">HIII", 3, 3, 1, 0))
            reply(c, option, ACK)
            return
        else:
            reply(c, option, 0x80000001)


def chunk(cookie, kind, data=b"", done=1, length=None):
    return struct.pack(">IHHQI", 0x668E33EF, done, kind, cookie,
                       len(data) if length is None else length) + data


def data(off, n):
    return struct.pack(">Q", off) + b"\xab" * n


def status(c, cookie, length):
    extents = [(length, 0)]
    if lie == "zero-extent":
        extents = [(0, 0), (length, 0)]
    elif lie == "long-extent":
        extents = [(0xFFFFFFFF, 0)]
    elif lie == "odd-extents":
        extents = [(512, 0), (513, 3), (length - 1025, 0)]
    if lie == "no-status":
        c.sendall(chunk(cookie, 0x8001, struct.pack(">IH", 22, 0)))
    elif lie == "empty-status":
        c.sendall(chunk(cookie, 5, struct.pack(">I", 1)))
    elif lie == "status-without-chunk":
        c.sendall(chunk(cookie, 0))
    else:
        c.sendall(chunk(cookie, 5, struct.pack(">I", 1) +
                        b"".join(struct.pack(">II", *e) for e in extents)))


def read(c, cookie, off, n):
    lies = {
        "outside": chunk(cookie, 1, data(off + n, n)),
        "before": chunk(cookie, 1, data(max(off, 512) - 512, n)),
        "wrap": chunk(cookie, 1, data((1 << 64) - 512, n)),
        "twice": chunk(cookie, 1, data(off, n), 0) + chunk(cookie, 1, data(off, n)),
        "overlap": chunk(cookie, 1, data(off, n - 512), 0) + chunk(cookie, 1, data(off + n - 1024, 1024)),
        "missing": chunk(cookie, 1, data(off, n - 1)),
        "nothing": chunk(cookie, 0),
        "too-long": chunk(cookie, 1, data(off, n + 1)),
        "huge-chunk": chunk(cookie, 1, b"", 1, 0xFFFFFFFF),
        "big-hole": chunk(cookie, 2, struct.pack(">QI", off, 0xFFFFFFFF)),
        "empty-hole": chunk(cookie, 2, struct.pack(">QI", off, 0), 0) + chunk(cookie, 1, data(off, n)),
        "short-hole": chunk(cookie, 2, b"123"),
        "wrong-cookie": chunk(cookie + 77, 1, data(off, n)),
        "wrong-magic": b"\x12\x34\x56\x78" * 8,
        "unknown-chunk": chunk(cookie, 9, b"?"),
        "long-error": chunk(cookie, 0x8001, struct.pack(">IH", 5, 60000) + b"x" * 10),
        "simple-reply": struct.pack(">IIQ", 0x67446698, 0, cookie) + b"\xab" * n,
        "unknown-error-chunk": chunk(cookie, 0x8099, b"something new"),
    }
    honest = b"".join(chunk(cookie, 1, data(at, min(65536, off + n - at)), 0)
                      for at in range(off, off + n, 65536)) + chunk(cookie, 0)
    return lies.get(lie, honest)


def serve(c):
    try:
        negotiate(c)
        while True:
            _, _, command, cookie, off, n = struct.unpack(">IHHQQI", get(c, 28))
            if command == 2:
                return
            if command == 7:
                status(c, cookie, n)
            else:
                c.sendall(read(c, cookie, off, n))
    except (EOFError, OSError):
        pass
    finally:
        c.close()


listener = socket.socket(socket.AF_UNIX)
if os.path.exists(path):
    os.unlink(path)
listener.bind(path)
listener.listen(16)
while True:
    client, _ = listener.accept()
    threading.Thread(target=serve, args=(client,), daemon=True).start()
