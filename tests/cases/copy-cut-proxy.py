# SPDX-License-Identifier: Apache-2.0
"""Hands bytes between clients and a server and cuts one line. Usage: copy-cut-proxy.py SOCKET
SERVER-SOCKET ORDERS. The file ORDERS says "RUN K N": of the connections since RUN changed, the
K-th is cut after N bytes of answers; all others pass."""
import os
import socket
import sys
import threading

path, server, orders = sys.argv[1:4]


def up(c, s):
    try:
        while data := c.recv(65536):
            s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(c, left):
    s = socket.socket(socket.AF_UNIX)
    s.connect(server)
    threading.Thread(target=up, args=(c, s), daemon=True).start()
    try:
        while left > 0 and (data := s.recv(min(65536, left))):
            c.sendall(data)
            left -= len(data)
    except OSError:
        pass
    for x in (c, s):
        try:
            x.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        x.close()


listener = socket.socket(socket.AF_UNIX)
if os.path.exists(path):
    os.unlink(path)
listener.bind(path)
listener.listen(16)
last, number = None, 0
while True:
    client, _ = listener.accept()
    with open(orders, encoding="ascii") as f:
        run, k, n = f.read().split()
    number = number + 1 if run == last else 1
    last = run
    left = int(n) if number == int(k) else 1 << 62
    threading.Thread(target=serve, args=(client, left), daemon=True).start()
