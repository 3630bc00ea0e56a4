# SPDX-License-Identifier: Apache-2.0
"""What a benchmark row needs: images, servers, a network of its own, measured commands.

Everything runs in a network namespace with nothing but a loopback interface, so the ports are
free on any machine and the bytes counted on that interface are those of the row alone, with
TCP/IP headers and acknowledgements, for both sides counted alike.
"""
import contextlib
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join(TOP, "build/bench")
MEASURE = os.path.join(OUT, "measure")
SIZE = 3 << 30
CHANGED, BLOCK = 960, 64 << 10
DEADLINE = 240 # of one command; the slowest takes 45 s on an idle machine


class Failure(Exception):
    """A side that should have worked did not, or a copy is wrong."""


def enter_namespace():
    if os.environ.get("TW_BENCH_NETNS"):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    os.environ["TW_BENCH_NETNS"] = "1"
    flags = "-n" if os.geteuid() == 0 else "-rn"
    os.execvp("unshare", ["unshare", flags, sys.executable] + sys.argv)


def loopback_bytes():
    with open("/proc/net/dev", encoding="ascii") as f:
        for line in f:
            if line.strip().startswith("lo:"):
                return int(line.split(":")[1].split()[0])
    raise Failure("no loopback interface")


def listening(port):
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError), open(name, encoding="ascii") as f:
            for line in f.readlines()[1:]:
                field = line.split()
                if field[3] == "0A" and int(field[1].split(":")[1], 16) == port:
                    return True
    return False


class Process:
    """A command below measure, in the background."""

    def __init__(self, lab, name, command, prefix=()):
        self.usage_file = os.path.join(lab.dir, name + ".usage")
        self.log = os.path.join(lab.dir, name + ".log")
        self.out = os.path.join(lab.dir, name + ".out")
        if isinstance(command, str):
            command = ["bash", "-o", "pipefail", "-c", command]
        with open(self.log, "wb") as log, open(self.out, "wb") as out:
            self.popen = subprocess.Popen(
                [MEASURE, self.usage_file, *prefix, *command], stdin=subprocess.DEVNULL,
                stdout=out, stderr=log, cwd=lab.dir, start_new_session=True)
        self.command = command

    def wait(self, timeout=DEADLINE):
        try:
            self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill_group()
            raise Failure(f"still running after {timeout} s: {shlex.join(self.command)}") from None
        with open(self.usage_file, encoding="ascii") as f:
            wall, cpu, rss, status = (int(x) for x in f.read().split())
        return {"wall": wall / 1e6, "cpu": cpu / 1e6, "rss_kib": rss, "status": status}

    def kill_group(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def stop(self, ends=False):
        if not ends:
            self.popen.send_signal(signal.SIGTERM)
        try:
            return self.wait(20)
        except Failure:
            if ends:
                raise
            raise Failure(f"does not stop: {shlex.join(self.command)}") from None

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()[-2000:]


class Lab:
    def __init__(self):
        base = os.environ.get("BENCH_DIR", "/dev/shm")
        free = shutil.disk_usage(base).free
        if free < 10 << 30:
            raise Failure(f"{base} has {free >> 30} GiB free, 10 are needed; set BENCH_DIR")
        self.dir = os.path.join(base, f"tw-bench.{os.getpid()}")
        self.disk = os.path.join(OUT, f"tmp.{os.getpid()}")
        os.makedirs(self.dir)
        os.makedirs(self.disk)
        os.mkdir(self.path("state"))
        programs = os.environ.get("TW_PROGRAMS", os.path.join(TOP, "build/worker"))
        self.names = {
            "worker": self.path("worker"), "server": self.path("source-server"),
            "src": self.path("src.img"), "changed": self.path("changed.img"),
            "pattern": self.path("pattern.img"), "dst": self.path("dst.img"),
            "keys": self.path("keys.psk"), "dir": self.dir,
        }
        self.count = 0
        # Copies: a build beside a long run changes nothing.
        for program in ("worker", "source-server"):
            shutil.copy(os.path.join(programs, program), self.path(program))

    def path(self, name):
        return os.path.join(self.dir, name)

    def close(self):
        shutil.rmtree(self.dir)
        shutil.rmtree(self.disk)

    def images(self):
        n = self.names
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", "/usr/lib/x86_64-linux-gnu",
                        n["src"], "3G"], check=True)
        subprocess.run(["cp", "--sparse=always", n["src"], n["changed"]], check=True)
        rng = random.Random(20)
        with open(n["changed"], "r+b") as f:
            for block in rng.sample(range(SIZE // BLOCK), CHANGED):
                f.seek(block * BLOCK)
                f.write(rng.randbytes(BLOCK))
        subprocess.run(["nbdkit", "-U", "-", "pattern", "size=512M", "--run",
                        f'nbdcopy "$uri" {shlex.quote(n["pattern"])}'], check=True)
        with open(n["keys"], "w", encoding="ascii") as f:
            f.write(f"alice:{rng.randbytes(32).hex()}\n")
        os.chmod(n["keys"], 0o600)

    def data_bytes(self):
        return os.stat(self.names["src"]).st_blocks * 512

    def fresh(self, how, dst):
        """Nothing from the run before is left: neither the file nor its pages."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(dst)
        shutil.rmtree(self.path("state"))
        os.mkdir(self.path("state"), 0o700)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path("journal"))
        if how == "base":
            subprocess.run(["cp", "--sparse=always", self.names["src"], dst], check=True)
        elif how:
            with open(dst, "wb") as f:
                f.truncate(how)
        if dst.startswith(self.disk):
            os.sync()

    def fill(self, command, dst):
        names = {**self.names, "dst": dst}
        if isinstance(command, str):
            return command.format(**{k: shlex.quote(v) for k, v in names.items()})
        return [word.format(**names) for word in command]

    def start(self, name, command, dst, prefix=()):
        self.count += 1
        return Process(self, f"{self.count:03}-{name}", self.fill(command, dst), prefix)

    def serve(self, server, dst):
        """server: (port, command) or (port, command, True) for one that ends by itself."""
        p = self.start("server", server[1], dst)
        end = time.monotonic() + 20
        while not listening(server[0]):
            if time.monotonic() > end or p.popen.poll() is not None:
                p.kill_group()
                raise Failure(f"no server at port {server[0]}: {p.said()}")
            time.sleep(0.01)
        return p

    def run_side(self, side, dst, prefix=()):
        """One run: its times, bytes, and what our program said about itself."""
        load = os.getloadavg()[0]
        server = self.serve(side["server"], dst) if "server" in side else None
        try:
            before = loopback_bytes()
            client = self.start("client", side["client"], dst, prefix)
            use = client.wait()
            use["wire"] = loopback_bytes() - before
        except BaseException:
            if server:
                server.kill_group()
            raise
        use.update(client_cpu=use["cpu"], load=load)
        if server:
            served = server.stop(len(side["server"]) > 2)
            use["cpu"] += served["cpu"]
            use["server_rss_kib"] = served["rss_kib"]
        if use["status"] and not side.get("may_fail"):
            raise Failure(f"{side['name']} ended with {use['status']}: {client.said()}")
        with open(client.out, encoding="utf-8", errors="replace") as f:
            text = f.read().strip()
        if side["name"] == "ours":
            use["said"] = json.loads(text.splitlines()[-1])
        elif "rsync" in side["name"]:
            use["wire"] = rsync_bytes(text)
        if use["status"]:
            use["error"] = client.said()[-300:]
        return use


def rsync_bytes(text):
    """What both rsync processes sent each other; a pipe here, the network between machines."""
    total = 0
    for line in text.splitlines():
        if line.startswith(("Total bytes sent:", "Total bytes received:")):
            total += int(line.split(":")[1].replace(",", ""))
    return total


def same(one, two):
    if subprocess.run(["cmp", one, two], check=False).returncode:
        raise Failure(f"{two} is not equal to {one}")
