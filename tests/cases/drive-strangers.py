#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Strangers at a source-server. Usage:
drive-strangers.py PORT COUNT         that many connections without a key, silent, or with half a TLS
                                      hello and then a byte a second for minutes, until all are closed
drive-strangers.py PORT busy          a server that has no place: BYE in clear, and the close
drive-strangers.py PORT mute          one that closes each connection without a word"""
import select
import socket
import struct
import sys

port, what = int(sys.argv[1]), sys.argv[2]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def frame(kind, payload=b"", raw=0):
    head = struct.pack("<4sBBHIIQI", b"TWP1", kind, 0, 0, 1, len(payload), 0, raw)
    return head + struct.pack("<I", crc32c(head)) + payload


def refuse(answer):
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        client, _ = listener.accept()
        client.sendall(answer)
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            continue
        client.close()


def strangers(count):
    slow = [b"", b"\x16\x03\x01\x02\x00" + b"\x01" * 500]
    peers = {}
    for i in range(count):
        s = socket.create_connection(("127.0.0.1", port))
        first = 5 * (i % 2)
        s.sendall(slow[i % 2][:first])
        peers[s] = [i % 2, first, b""]
    print("connected", count, flush=True)
    told = 0
    while peers:
        for s in select.select(list(peers), [], [], 1)[0]:
            try:
                data = s.recv(4096)
            except OSError:
                data = b""
            peers[s][2] += data
            if not data:
                came = peers.pop(s)[2]
                told += came[:5] == b"TWP1\x18" and came[24] == 4
                s.close()
        for s, peer in peers.items():
            try:
                s.send(slow[peer[0]][peer[1] : peer[1] + 1])
                peer[1] += 1
            except OSError:
                pass
    print("told", told, flush=True)
    print("ended", count, flush=True)


if what == "busy":
    refuse(frame(24, b"too many connections", 4))
if what == "mute":
    refuse(b"")
strangers(int(what))
