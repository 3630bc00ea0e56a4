#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random points. Usage: drive-kill.py worker|server|nbd SOURCE FOLDER POINTS SEED BUILD...

A forwarder stands between `worker copy` and `source-server`, counts the bytes of both directions
and has the victim killed when a chosen number of them, and a few milliseconds more, have passed.
The copy is then continued: by a new worker, or by itself with the next server. Points take the
folders BUILD in turn for their programs; a few run at a time, each with a server of its own. With nbd
the server is nbdkit, the victim the worker, and its journal is local: slow enough to be used."""
import concurrent.futures
import filecmp
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time

victim, source, folder, points, seed = sys.argv[1:6]
builds = sys.argv[6:]
codes = set(re.findall(r"^X\((\w+),", open("worker/base/err-codes.h").read(), re.M))
HEAD, BLOCK, MARK = 1 << 20, 4096, b"target-worker cop"


class Server:
    """A source-server that can be killed and started again."""

    def __init__(self, build, state, log):
        self.build, self.state, self.log = build, state, log
        self.process = None
        self.up = threading.Event()
        self.start()

    def start(self):
        self.starts = getattr(self, "starts", 0) + 1
        self.process = subprocess.Popen(
            [self.build + "/source-server", "--drive", "sda=" + source, "--allow-plain", "--listen",
             "127.0.0.1:0", "--state-dir", self.state, "--freeze", "never"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        end = time.monotonic() + 100
        while len(ports := self.ports()) < self.starts:
            assert self.process.poll() is None and time.monotonic() < end, "no source-server"
            time.sleep(0.005)
        self.port = ports[-1]
        self.up.set()

    def ports(self):
        with open(self.log.name, "rb") as log:
            return [int(p) for p in re.findall(rb"listening on port (\d+)\n", log.read())]

    def kill(self):
        self.up.clear()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def socket(self):
        return socket.create_connection(("127.0.0.1", self.port))

    def connect(self):
        """Waits while there is none: the line is not what is tested here."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            self.up.wait(60)
            try:
                return self.socket()
            except OSError:
                time.sleep(0.01)
        raise OSError("no server")


class Nbd(Server):
    """nbdkit, below a socket in the file system. It may die of a client that was killed."""

    def start(self):
        self.path = self.state + "/nbd"
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.process = subprocess.Popen(["nbdkit", "-f", "-r", "-U", self.path, "file", source],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        end = time.monotonic() + 100
        while not os.path.exists(self.path):
            assert self.process.poll() is None and time.monotonic() < end, "no nbdkit"
            time.sleep(0.005)
        self.up.set()

    def socket(self):
        s = socket.socket(socket.AF_UNIX)
        s.connect(self.path)
        return s


class Forwarder:
    """Hands bytes on; calls reached() once, from a thread of its own, after N of them."""

    def __init__(self, server, n, reached):
        self.server, self.left, self.reached = server, n, reached
        self.total = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.acting = None
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.join, args=(client,), daemon=True).start()

    def join(self, client):
        try:
            server = self.server.connect()
        except OSError:
            client.close()
            return
        for ends in (client, server), (server, client):
            threading.Thread(target=self.pump, args=ends, daemon=True).start()

    def pump(self, here, there):
        try:
            while data := here.recv(16384):
                there.sendall(data)
                self.count(len(data))
        except OSError:
            pass
        for s in here, there:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def count(self, n):
        with self.lock:
            self.total += n
            if self.left is None or self.total < self.left:
                return
            self.left = None
            self.acting = threading.Thread(target=self.reached, daemon=True)
            self.acting.start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def copy(build, port, target, number):
    uri = ["--allow-plain", "--job-id", f"kill-{number}", f"tw://127.0.0.1:{port}/sda"]
    if victim == "nbd":
        uri = ["--bandwidth", "3M", "--journal", target + ".journal", f"nbd://127.0.0.1:{port}/?identity=one"]
    return subprocess.Popen(
        [build + "/worker", "copy", "--json", "--resume", "--connections", "2", *uri, target],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def outcome(process):
    """Exit status, code and text of a copy that ends by itself."""
    out, log = process.communicate(timeout=200)
    log = log.decode(errors="replace")
    if "AddressSanitizer" in log or "runtime error" in log:
        raise AssertionError("sanitizer report: " + log)
    if process.returncode == -signal.SIGKILL:
        return -signal.SIGKILL, "", ""
    if process.returncode == 0:
        return 0, "", log
    errors = json.loads(out.splitlines()[-1])["errors"]
    return process.returncode, errors[0]["code"], errors[0]["text"]


def never_half_done(target):
    """What a killed worker left: nothing, a head of which at least the first block is held back, or
    the whole."""
    if not os.path.exists(target) or filecmp.cmp(source, target, shallow=False):
        return
    with open(target, "rb") as t, open(source, "rb") as s:
        for at in range(0, HEAD, BLOCK):
            block, real = t.read(BLOCK), s.read(BLOCK)
            if not block.strip(b"\0") or (at == BLOCK and block.startswith(MARK)):
                continue
            assert at, "the first block was released before the end"
            assert block == real, f"something else is in the head, at {at}"


def believed(log):
    told = re.search(r"the journal has (\d+) of \d+ units and parts of (\d+)", log)
    return bool(told) and told.groups() != ("0", "0")


def point(number, n, pause):
    """Whether the victim was met alive, the bytes, and whether a journal had something to tell."""
    build = builds[number % len(builds)]
    target = f"{folder}/dst-{number}"
    state = f"{folder}/state-{number}"
    os.mkdir(state)
    met = []
    with open(f"{folder}/server-{number}.out", "wb") as log:
        server = (Nbd if victim == "nbd" else Server)(build, state, log)
        process = None

        def reached():
            time.sleep(pause)
            if victim == "server":
                server.kill()
                met.append(process.poll() is None)
                server.start()
            else:
                met.append(process.poll() is None)
                process.send_signal(signal.SIGKILL)

        forwarder = Forwarder(server, n, reached)
        try:
            process = copy(build, forwarder.port, target, number)
            status, code, text = outcome(process)
            said = text
            if forwarder.acting:
                forwarder.acting.join()
            if status == -signal.SIGKILL:
                never_half_done(target)
            elif status:
                assert code in codes, f"no code: {code} {text}"
            if status and victim == "nbd":
                server.kill()
                server.start()
            if status:
                status, code, text = outcome(copy(build, forwarder.port, target, number))
                said = text
            assert status == 0, f"continued: {code} {text}"
            assert filecmp.cmp(source, target, shallow=False), "the target differs"
        except AssertionError as e:
            return f"point {number}, after {n} bytes and {pause * 1000:.1f} ms, {build}: {e}"
        finally:
            forwarder.close()
            server.kill()
    with open(f"{folder}/server-{number}.out", "rb") as log:
        text = log.read().decode(errors="replace")
    if "AddressSanitizer" in text or "runtime error" in text:
        return f"point {number}: {text}"
    os.unlink(target)
    return int(any(met)), forwarder.total, believed(said)


dice = random.Random(int(seed))
whole = point(0, None, 0)
if isinstance(whole, str):
    sys.exit(whole)
# To the very last byte: greeting, extents, data, journal, head, farewell.
chosen = [(i + 1, dice.randrange(1, whole[1]), dice.random() * 0.02) for i in range(int(points))]
alive = journals = 0
# Over NBD they wait for the journal, not for the processor.
with concurrent.futures.ThreadPoolExecutor(10 if victim == "nbd" else 4) as pool:
    for result in pool.map(lambda c: point(*c), chosen):
        if isinstance(result, str):
            sys.exit(f"seed {seed}: {result}")
        alive += result[0]
        journals += result[2]
print(f"{points} kills of {victim} within {whole[1]} bytes, {alive} while the copy ran; "
      f"{journals} journals had something to tell")
if alive < int(points) // 2 or (victim == "nbd" and journals < int(points) // 5):
    sys.exit("too few met it alive: the test shows nothing")
