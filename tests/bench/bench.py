# SPDX-License-Identifier: Apache-2.0
"""make bench: every row, its sides in turns, the median of BENCH_RUNS; see rows.py.

Prints a table and writes it to build/bench/table.md, and every single run to build/bench/*.json,
after each row, so that a run that is broken off leaves what it had. Never fails on a time; a copy
that is not equal, or a side of ours that fails, fails it, after all rows. From BENCH_MINUTES on, rows
are run once each.
"""
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time

import lab as lab_module
from lab import Failure, Lab, OUT
from rows import ROWS

RUNS = int(os.environ.get("BENCH_RUNS", "5"))
MINUTES = float(os.environ.get("BENCH_MINUTES", "15"))
CHANGED_BYTES = lab_module.CHANGED * lab_module.BLOCK
MEMORY, CPU_SHARE = 96 << 20, 100000


class Budget:
    """96 MiB and one CPU by control groups, of either version."""

    def __init__(self):
        root = "/sys/fs/cgroup"
        name = f"tw-bench-{os.getpid()}"
        if os.path.exists(f"{root}/cgroup.controllers"):
            self.groups = [(f"{root}/{name}", {"memory.max": MEMORY,
                                               "cpu.max": f"{CPU_SHARE} {CPU_SHARE}"})]
        else:
            self.groups = [(f"{root}/memory/{name}", {"memory.limit_in_bytes": MEMORY}),
                           (f"{root}/cpu/{name}", {"cpu.cfs_period_us": CPU_SHARE,
                                                   "cpu.cfs_quota_us": CPU_SHARE})]

    def __enter__(self):
        for path, limits in self.groups:
            os.mkdir(path)
            for key, value in limits.items():
                with open(f"{path}/{key}", "w", encoding="ascii") as f:
                    f.write(str(value))
        enter = "".join(f"echo $$ >{path}/cgroup.procs && " for path, _ in self.groups)
        return ["sh", "-c", enter + 'exec "$@"', "budget"]

    def __exit__(self, *_):
        for path, _ in self.groups:
            for _ in range(50):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
                    break
                time.sleep(0.1)
            else:
                print(f"bench: {path} is left over", file=sys.stderr)


def kill_half_way(lab, side, dst, whole):
    """Kill the client when half of a whole copy's bytes went by, and start it again."""
    server = lab.serve(side["server"], dst)
    try:
        before = lab_module.loopback_bytes()
        client = lab.start("killed", side["client"], dst)
        while lab_module.loopback_bytes() - before < whole // 2:
            if client.popen.poll() is not None:
                raise Failure(f"{side['name']} ended before half of {whole} bytes went by")
            time.sleep(0.02)
        client.popen.send_signal(signal.SIGUSR1)
        first = client.wait()
        first["wire"] = lab_module.loopback_bytes() - before
    except BaseException:
        server.kill_group()
        raise
    server.stop()
    use = lab.run_side({**side, "client": side["again"]}, dst)
    use["share_again"] = use["wire"] / whole
    use["killed"] = first
    return use


def one_run(lab, r, side):
    dst = lab.names["dst"]
    if r.get("budget"):
        dst = os.path.join(lab.disk, "dst.img")
    lab.fresh(r["fresh"], dst)
    if r.get("kill"):
        whole = lab.run_side({**side, "server": side["whole"]}, dst)["wire"]
        lab.fresh(r["fresh"], dst)
        use = kill_half_way(lab, side, dst, whole)
    elif r.get("budget"):
        with Budget() as prefix:
            use = lab.run_side(side, dst, prefix)
    else:
        use = lab.run_side(side, dst)
    if r["equal"] and not use["status"]:
        lab_module.same(lab.names[r["equal"]], dst)
    print(f"  row {r['row']} {side['name']}: {use['wall']:.2f} s"
          + (f", exit {use['status']}" if use["status"] else ""), flush=True)
    return use


def run_row(lab, r, hurry):
    runs = {side["name"]: [] for side in r["sides"]}
    failures, failed = [], set()
    for i in range(min(RUNS, r.get("runs", RUNS))):
        for side in r["sides"]:
            if side["name"] in failed or (i and time.monotonic() > hurry):
                continue
            try:
                runs[side["name"]].append(one_run(lab, r, side))
            except (Failure, OSError, LookupError, ValueError, subprocess.SubprocessError) as e:
                failed.add(side["name"])
                failures.append(f"row {r['row']}, {side['name']}: {e}")
                print(f"FAILED {failures[-1]}", flush=True)
    return {**{k: r.get(k) for k in ("row", "title", "aim")}, "runs": runs,
            "failures": failures, "medians": {n: medians(u) for n, u in runs.items() if u}}


def medians(uses):
    m = {k: statistics.median(u[k] for u in uses)
         for k in ("wall", "cpu", "client_cpu", "wire", "rss_kib", "load")}
    m["server_rss_kib"] = max(u.get("server_rss_kib", 0) for u in uses)
    m["runs"] = len(uses)
    m["status"] = max(u["status"] for u in uses)
    for u in uses:
        if "share_again" in u:
            m["share_again"] = u["share_again"]
    return m


def judge(r, ours, peers):
    """What the aim is, what was reached, and whether that is enough."""
    worked = [p["wall"] for p in peers.values() if not p["status"]]
    checks = []
    if r["aim"] and worked:
        ratio = ours["wall"] / min(worked)
        checks.append((f"time {ratio:.2f} of {r['aim']:.2f}", ratio <= r["aim"]))
    if "wire_aim" in r and peers:
        ratio = ours["wire"] / min(p["wire"] for p in peers.values())
        checks.append((f"bytes {ratio:.2f} of {r['wire_aim']:.2f}", ratio <= r["wire_aim"]))
    if "changed_aim" in r:
        ratio = ours["wire"] / CHANGED_BYTES
        checks.append((f"bytes {ratio:.3f} of {r['changed_aim']:.2f}",
                       ratio <= r["changed_aim"]))
    if "seconds_aim" in r:
        checks.append((f"{ours['wall']:.2f} s of {r['seconds_aim']:.0f}",
                       ours["wall"] <= r["seconds_aim"]))
    if "again_aim" in r:
        share = ours["share_again"]
        checks.append((f"again {share:.2f} of {r['again_aim']:.2f}", share <= r["again_aim"]))
    if "rss_aim" in r:
        mib = ours["rss_kib"] / 1024
        checks.append((f"RSS {mib:.0f} of {r['rss_aim']} MiB", mib <= r["rss_aim"]))
    if "server_rss_aim" in r:
        mib = ours["server_rss_kib"] / 1024
        checks.append((f"server's {mib:.0f} of {r['server_rss_aim']:.0f} MiB",
                       mib <= r["server_rss_aim"]))
    if r["row"] == "10":
        checks.append(("completes, equal", not ours["status"]))
    return "; ".join(text + (" met" if ok else " MISSED") for text, ok in checks)


def table(results):
    lines = ["| row | work | side | runs | wall s | ours/it | CPU s, both ends | wire MiB | RSS MiB "
             "| aim |", "|---|---|---|---|---|---|---|---|---|---|"]
    for r, result in results:
        m = result["medians"]
        peers = {n: u for n, u in m.items() if n != "ours"}
        for name, u in m.items():
            ratio = f"{m['ours']['wall'] / u['wall']:.2f}" if "ours" in m and name != "ours" else ""
            verdict = judge(r, u, peers) if name == "ours" else ""
            if r.get("kill"):
                ratio = ""  # the sides run at different rates; bytes count here
            if u["status"]:
                ratio, verdict = "", f"exits {u['status']}"
            elif name != "ours" and "share_again" in u:
                verdict = f"again {u['share_again']:.2f}"
            lines.append(
                f"| {r['row']} | {r['title']} | {name} | {u['runs']} | {u['wall']:.2f} | {ratio} "
                f"| {u['cpu']:.2f} | {u['wire'] / (1 << 20):.1f} "
                f"| {u['rss_kib'] / 1024:.0f} | {verdict} |")
        for text in result["failures"]:
            lines.append(f"| {r['row']} | {r['title']} | | | | | | | | FAILED: {' '.join(text.split())[:150]} |")
    return "\n".join(lines)


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as f:
        model = next((x.split(":")[1].strip() for x in f if x.startswith("model name")), "?")
    tools = {}
    for tool in ("nbdcopy", "nbdkit", "qemu-img", "rsync", "lz4"):
        said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True)
        tools[tool] = (said.stdout or said.stderr).splitlines()[0].strip()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True,
                            text=True, check=False).stdout.strip()
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(),
            "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
            "load": os.getloadavg(), "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "runs": RUNS, "commit": commit, "tools": tools}


def write_json(name, data):
    with open(os.path.join(OUT, name), "w", encoding="utf-8") as f:
        json.dump(data, f, indent=1)
        f.write("\n")


def report(results, here):
    """Also of a run that is broken off: the rows it had."""
    text = table(results)
    with open(os.path.join(OUT, "table.md"), "w", encoding="utf-8") as f:
        f.write(text + "\n")
    write_json("machine.json", here)
    return text


def main():
    lab_module.enter_namespace()
    wanted = os.environ.get("BENCH_ROWS", "").split() or [r["row"] for r in ROWS]
    unknown = set(wanted) - {r["row"] for r in ROWS}
    if unknown:
        sys.exit(f"bench: no row {' '.join(sorted(unknown))}")
    os.makedirs(OUT, exist_ok=True)
    here = machine()
    hurry = time.monotonic() + MINUTES * 60
    results = []
    lab = Lab()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended"))
    try:
        lab.images()
        here["data_bytes"] = lab.data_bytes()
        for r in ROWS:
            if r["row"] in wanted:
                results.append((r, run_row(lab, r, hurry)))
                write_json(f"row-{r['row']}.json", {"machine": here, **results[-1][1]})
                report(results, here)
    finally:
        lab.close()
        print(report(results, here))
    sys.exit(1 if any(result["failures"] for _, result in results) else 0)


if __name__ == "__main__":
    main()
