# SPDX-License-Identifier: Apache-2.0
"""Router advertisements (RFC 4861, 4.2) for tests: job-ra-server.py INTERFACE PREFIX.

Announces PREFIX/64 for autonomous addresses and the sender as default router, twice a second.
"""
import socket
import struct
import sys
import time

ALL_NODES = "ff02::1"


def main():
    interface, prefix = sys.argv[1:]
    s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    index = socket.if_nametoindex(interface)
    # Hop limit 64, no flags, router for 600 s; then the prefix (on link, autonomous) for as long.
    advert = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 600, 0, 0)
    advert += struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 600, 600, 0)
    advert += socket.inet_pton(socket.AF_INET6, prefix)
    print("ready", flush=True)
    while True:
        try:
            s.sendto(advert, (ALL_NODES, 0, 0, index))
        except OSError as e:  # no link-local address yet, or the link is down
            print(e, flush=True)
        time.sleep(0.5)


main()
