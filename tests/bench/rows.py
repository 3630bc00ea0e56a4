# SPDX-License-Identifier: Apache-2.0
"""The rows. Row 6's peer, bdsync, is not in Debian 12: its work is done by our drive protocol
beside rsync instead. A row has sides (ours first), the state of the target before each run
(its size in bytes, or "base": the drive before the change), the image that it must equal
afterwards, and the aim for the ratio of wall times.
"""
from lab import SIZE

HOST = "127.0.0.1"
NBDKIT, QEMU_NBD, LZ4, TLS, TWS = 10812, 10811, 10813, 10814, 5994
MI512 = 512 << 20


def nbdkit(port, *args):
    return (port, ["nbdkit", "-f", "-i", HOST, "-p", str(port), "-r", *args])


def nbd(port):
    return f"nbd://{HOST}:{port}/"


def worker(*args):
    return ["{worker}", "copy", "--json", *args]


PLAIN = nbdkit(NBDKIT, "file", "{src}")
CHANGED = nbdkit(NBDKIT, "file", "{changed}")
SECURE = nbdkit(TLS, "--tls=require", "--tls-psk={keys}", "file", "{src}")
SECURE_URI = f"nbds://alice@{HOST}:{TLS}/?tls-psk-file=" + "{keys}"
QEMU = (QEMU_NBD, ["qemu-nbd", "-f", "raw", "-r", "-t", "-e", "8", "-b", HOST,
                   "-p", str(QEMU_NBD), "{src}"])


def drive_server(image, *args):
    return (TWS, ["{server}", "--listen", f"{HOST}:{TWS}", "--drive", "sda={" + image + "}",
                  "--psk-file", "{keys}", "--state-dir", "{dir}/state", "--freeze", "never",
                  *args])


TWS_URI = f"tws://{HOST}:{TWS}/sda?psk-file=" + "{keys}"
TW_URI = f"tw://{HOST}:{TWS}/sda"
NBDCOPY = ["nbdcopy", "--flush", nbd(NBDKIT), "{dst}"]
RSYNC = {"name": "rsync", "client": ["rsync", "-I", "--no-whole-file", "--inplace",
                                     "--block-size=65536", "--stats", "{changed}", "{dst}"]}
LZ4_PEER = {
    "name": "dd, lz4, nc",
    "server": (LZ4, "dd if={src} bs=1M | lz4 -1 -B7 -c | nc -l -N 127.0.0.1 10813", True),
    "client": "nc -d 127.0.0.1 10813 | lz4 -dc | "
              "dd of={dst} bs=1M conv=sparse,notrunc iflag=fullblock",
}


def qemu_img(port, *args):
    return ["qemu-img", "convert", "-n", *args, "-W", "--target-is-zero", "-f", "raw",
            "-O", "raw", nbd(port), "{dst}"]


def ours(client, server=None):
    side = {"name": "ours", "client": client}
    if server:
        side["server"] = server
    return side


def row(number, title, sides, aim, fresh=SIZE, equal="src", **more):
    return {"row": number, "title": title, "sides": sides, "aim": aim, "fresh": fresh,
            "equal": equal, **more}


def server_mib(connections):
    """What source-server may have: itself, and so much for each connection (see serve/conn.c: what
    came in, what was read, the reply; TLS)."""
    return 4 + 3.5 * connections


SPARSE = nbdkit(NBDKIT, "sparse-random", "size=1T", "percent=0")
SLOW = nbdkit(NBDKIT, "--filter=delay", "pattern", "size=512M", "rdelay=50ms")
FAULTY = nbdkit(NBDKIT, "--filter=error", "pattern", "size=512M", "error-pread-rate=1%")
# 88 s for the whole: what is lost with the barrier every 5 s is a twentieth of it. The peer
# starts from the beginning at any rate.
LIMITED = nbdkit(NBDKIT, "--filter=rate", "file", "{src}", "rate=100M")
FASTER = nbdkit(NBDKIT, "--filter=rate", "file", "{src}", "rate=800M")
JOURNAL = ["--journal", "{dir}/journal"]

ROWS = [
    row("1", "full, NBD", [
        ours(worker(nbd(NBDKIT), "{dst}"), PLAIN),
        {"name": "nbdcopy", "client": NBDCOPY, "server": PLAIN}], 1.0),
    row("2", "full, NBD, empty target", [
        ours(worker("--target-zero", nbd(NBDKIT), "{dst}"), PLAIN),
        {"name": "qemu-img", "client": qemu_img(NBDKIT, "-m", "8"), "server": PLAIN}], 1.0),
    row("3", "full, from qemu-nbd", [
        ours(worker(nbd(QEMU_NBD), "{dst}"), QEMU),
        {"name": "nbdcopy", "server": QEMU,
         "client": ["nbdcopy", "--flush", nbd(QEMU_NBD), "{dst}"]}], 1.0),
    row("4", "full, NBD, TLS-PSK", [
        ours(worker(SECURE_URI, "{dst}"), SECURE),
        {"name": "nbdcopy", "server": SECURE,
         "client": ["nbdcopy", "--flush", SECURE_URI, "{dst}"]}], 0.5),
    row("4t", "full, drive protocol, TLS-PSK, LZ4", [
        ours(worker(TWS_URI, "{dst}"), drive_server("src")),
        {"name": "nbdcopy", "server": SECURE,
         "client": ["nbdcopy", "--flush", SECURE_URI, "{dst}"]}], 0.5),
    row("4u", "full, drive protocol, TLS-PSK, no LZ4", [
        ours(worker("--no-compress", TWS_URI, "{dst}"), drive_server("src")),
        {"name": "nbdcopy", "server": SECURE,
         "client": ["nbdcopy", "--flush", SECURE_URI, "{dst}"]}], 0.5),
    row("5", "full, LZ4 on the wire", [
        ours(worker("--allow-plain", "--target-zero", TW_URI, "{dst}"),
             drive_server("src", "--allow-plain")), LZ4_PEER], 0.6, wire_aim=1.0),
    row("6", "delta, drive protocol, TLS", [
        ours(worker("--delta", TWS_URI, "{dst}"), drive_server("changed")), RSYNC],
        0.35, fresh="base", equal="changed", changed_aim=1.05),
    row("7", "delta, from a file", [
        ours(worker("--delta", "file:{changed}", "{dst}")), RSYNC],
        0.15, fresh="base", equal="changed"),
    row("7n", "delta, from NBD", [
        ours(worker("--delta", nbd(NBDKIT), "{dst}"), CHANGED), RSYNC],
        0.35, fresh="base", equal="changed"),
    row("8", "1 TiB empty", [
        ours(worker(nbd(NBDKIT), "null:"), SPARSE),
        {"name": "nbdcopy", "client": ["nbdcopy", nbd(NBDKIT), "null:"], "server": SPARSE}],
        None, fresh=None, equal=None, seconds_aim=2.0),
    row("9", "50 ms latency, 512 MiB", [
        ours(worker(nbd(NBDKIT), "{dst}"), SLOW),
        {"name": "nbdcopy", "client": NBDCOPY, "server": SLOW},
        {"name": "qemu-img", "client": qemu_img(NBDKIT, "-m", "16"), "server": SLOW}],
        1.0, fresh=MI512, equal="pattern"),
    row("10", "1 % of reads fail, 512 MiB", [
        ours(worker(nbd(NBDKIT), "{dst}"), FAULTY),
        {"name": "nbdcopy", "client": NBDCOPY, "server": FAULTY, "may_fail": True},
        {"name": "qemu-img", "client": qemu_img(NBDKIT, "-m", "8"), "server": FAULTY,
         "may_fail": True}], None, fresh=MI512, equal="pattern"),
    row("11", "kill -9 half way, NBD", [
        {"name": "ours", "server": LIMITED, "whole": PLAIN,
         "client": worker(*JOURNAL, nbd(NBDKIT), "{dst}"),
         "again": worker("--resume", *JOURNAL, nbd(NBDKIT), "{dst}")},
        {"name": "nbdcopy", "server": FASTER, "whole": PLAIN, "client": NBDCOPY,
         "again": NBDCOPY}],
        None, kill=True, runs=1, again_aim=0.55),
    row("11t", "kill -9 half way, drive protocol", [
        {"name": "ours", "server": drive_server("src", "--bandwidth", "60M"),
         "whole": drive_server("src"),
         "client": worker("--job-id", "bench", TWS_URI, "{dst}"),
         "again": worker("--resume", "--job-id", "bench", TWS_URI, "{dst}")}],
        None, kill=True, runs=1, again_aim=0.55),
    row("12a", "row 1 in 96 MiB, one CPU, disk", [
        ours(worker(nbd(NBDKIT), "{dst}"), PLAIN),
        {"name": "nbdcopy", "client": NBDCOPY, "server": PLAIN}],
        None, budget=True, rss_aim=48),
    row("12b", "row 4 in 96 MiB, one CPU, disk", [
        ours(worker(SECURE_URI, "{dst}"), SECURE),
        {"name": "nbdcopy", "server": SECURE,
         "client": ["nbdcopy", "--flush", SECURE_URI, "{dst}"]}],
        None, budget=True, rss_aim=48),
    row("12c", "row 6 in 96 MiB, one CPU, disk", [
        ours(worker("--delta", TWS_URI, "{dst}"), drive_server("changed")), RSYNC],
        None, fresh="base", equal="changed", budget=True, rss_aim=48),
    row("13", "memory: TLS-PSK, LZ4, 8 connections", [
        ours(worker("--connections", "8", TWS_URI, "{dst}"), drive_server("src"))],
        None, runs=1, rss_aim=48, server_rss_aim=server_mib(8)),
    row("13d", "memory: the same, delta", [
        ours(worker("--connections", "8", "--delta", TWS_URI, "{dst}"), drive_server("changed"))],
        None, fresh="base", equal="changed", runs=1, rss_aim=48, server_rss_aim=server_mib(8)),
    row("13n", "memory: NBD, TLS-PSK, 8 connections", [
        ours(worker("--connections", "8", SECURE_URI, "{dst}"), SECURE)],
        None, runs=1, rss_aim=48),
]
