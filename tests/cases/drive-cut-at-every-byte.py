#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Cuts sessions of the drive protocol. Usage: drive-cut-at-every-byte.py WORKER SOURCE FOLDER PORT
URI-END STEP. Each run of `worker copy` has a forwarder of its own, to the server at PORT, which
cuts one of its connections after N bytes in one direction; URI-END is what follows the address,
behind the scheme and a space. Several runs at a time."""
import concurrent.futures
import filecmp
import json
import os
import socket
import subprocess
import sys
import threading

worker, source, folder, port, uri_end, step = sys.argv[1:7]
scheme, rest = uri_end.split(" ", 1)
UP, DOWN = 0, 1  # of the client, of the server
NOT_KNOWN_YET = {"SRC_EOF", "SRC_PROTO", "SRC_TLS", "SRC_CONNECT"}


class Forwarder:
    """Hands bytes on; the K-th connection ends after N bytes in one direction."""

    def __init__(self, k, direction, n):
        self.cut = k, direction, n
        self.counts = []  # per connection: bytes up, bytes down
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", int(port)))
            self.counts.append([0, 0])
            number = len(self.counts)
            for direction in UP, DOWN:
                k, d, n = self.cut
                left = n if (number, direction) == (k, d) else 1 << 62
                ends = (client, server) if direction == UP else (server, client)
                threading.Thread(
                    target=self.pump, args=(*ends, number - 1, direction, left), daemon=True
                ).start()

    def pump(self, here, there, number, direction, left):
        cut = left < 1 << 62
        try:
            while left > 0 and (data := here.recv(min(65536, left))):
                there.sendall(data)
                left -= len(data)
                self.counts[number][direction] += len(data)
            if left and not cut:
                there.shutdown(socket.SHUT_WR)
                return
        except OSError:
            pass
        for s in here, there:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def copy(k, direction, n):
    """Exit status, result, target and what went over the connections."""
    forwarder = Forwarder(k, direction, n)
    target = os.path.join(folder, f"dst-{k}-{direction}-{n}")
    done = subprocess.run(
        [worker, "copy", "--json", "--connections", "1", "--allow-plain",
         f"{scheme}://127.0.0.1:{forwarder.port}{rest}", target],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    forwarder.close()
    log = done.stderr.decode(errors="replace")
    if "AddressSanitizer" in log or "runtime error" in log:
        sys.exit(f"connection {k}, direction {direction}, byte {n}: {log}")
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), target, forwarder.counts, log


def check(k, direction, n):
    """1 when the cut was noticed; a failure is a text."""
    status, result, target, counts, log = copy(k, direction, n)
    where = f"connection {k}, direction {direction}, byte {n}: "
    if status == 0:
        if not os.path.exists(target) or not filecmp.cmp(source, target, shallow=False):
            return where + "the target differs"
        os.unlink(target)
        # A word that is lost at the very end costs nothing.
        return int(result["retries"] > 0 or len(counts) > 3 or "info: " in log or "warn" in log)
    code = result["errors"][0]["code"]
    if k != 1 or code not in NOT_KNOWN_YET:
        return where + f"{code} {result['errors'][0]['text']}"
    if os.path.exists(target):
        return where + "a target was made although nothing is known of the source"
    return 1


status, result, target, whole, log = copy(0, UP, 0)
if status != 0 or len(whole) != 3:
    sys.exit(f"without a cut: status {status}, {len(whole)} connections: {log}")
os.unlink(target)
step = int(step)
cuts = [(1, DOWN, n) for n in range(0, whole[0][DOWN], step)]
cuts += [(1, UP, n) for n in range(0, whole[0][UP], 3 * step)]
# Greeting, state, extents, the first frames of data, and the first MiB with the end.
start = min(whole[0][DOWN] + 150, whole[1][DOWN])
cuts += [(2, DOWN, n) for n in range(0, start, step)]
cuts += [(2, DOWN, n) for n in (65536, 131072, 262144 + 100, whole[1][DOWN] - 1)]
cuts += [(2, UP, n) for n in range(0, whole[1][UP], 3 * step)]
cuts += [(2, DOWN, n) for n in (whole[1][DOWN] // 2, whole[1][DOWN] - 65536)]
cuts += [(3, DOWN, n) for n in (0, 1, 40, whole[2][DOWN] - 1)]
noticed = 0
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    for outcome in pool.map(lambda c: check(*c), cuts):
        if isinstance(outcome, str):
            sys.exit(outcome)
        noticed += outcome
print(f"{scheme}: {len(cuts)} cuts, {noticed} noticed; whole connections: {whole}")
if noticed < len(cuts) * 3 // 4:
    sys.exit("too few cuts were noticed: the test shows nothing")
