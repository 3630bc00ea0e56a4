# SPDX-License-Identifier: Apache-2.0
"""A DHCP server (RFC 2131) with one address, for tests: job-dhcp-server.py INTERFACE SERVER CLIENT.

Answers every DISCOVER and REQUEST with CLIENT/24, SERVER as router and name server.
"""
import socket
import struct
import sys

COOKIE = b"\x63\x82\x53\x63"


def option(code, data):
    return bytes([code, len(data)]) + data


def message_type(packet):
    at = 240
    while at + 2 <= len(packet) and packet[at] != 255:
        if packet[at] == 0:
            at += 1
            continue
        if packet[at] == 53:
            return packet[at + 2]
        at += 2 + packet[at + 1]
    return 0


def answer(packet, kind, server, client):
    reply = struct.pack("!BBBBIHH", 2, 1, 6, 0, struct.unpack("!I", packet[4:8])[0], 0, 0x8000)
    reply += bytes(4) + client + server + bytes(4) + packet[28:44] + bytes(192) + COOKIE
    reply += option(53, bytes([kind])) + option(54, server) + option(1, b"\xff\xff\xff\0")
    reply += option(3, server) + option(6, server) + option(51, struct.pack("!I", 600))
    return reply + b"\xff"


def main():
    interface, server, client = sys.argv[1:]
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    s.bind(("", 67))
    print("ready", flush=True)
    server, client = socket.inet_aton(server), socket.inet_aton(client)
    while True:
        packet = s.recv(2048)
        if len(packet) < 240 or packet[236:240] != COOKIE:
            continue
        kind = {1: 2, 3: 5}.get(message_type(packet))
        if kind:
            s.sendto(answer(packet, kind, server, client), ("255.255.255.255", 68))


main()
