#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a local system costs that does nothing, and how soon one can be used.

  system.start.time    from the start of daos_server on empty directories (two engines of two targets) until a pool is made
  system.restart.time  the same on storage that holds a pool, until that pool answers
  engine.idle.cpu      share of one core that the busier of two engines takes, with a pool open nowhere
  engine.idle.rss      resident memory of the larger one

usage: bench_system.py --build BUILD --json FILE [--quick] [--reps N]
"""
import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/cluster"))
from cluster import Programs, System, rss_bytes, until  # noqa: E402


def cpu_ns(pid):
    """Time on a CPU of all threads."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total


def idle(system, seconds):
    """(share of a core in percent, bytes) of the busier and of the larger engine."""
    pids = [pid for pid in system.pids().values()]
    time.sleep(1)  # what the start left to do
    before = {pid: (cpu_ns(pid), time.monotonic_ns()) for pid in pids}
    time.sleep(seconds)
    shares = [100.0 * (cpu_ns(pid) - cpu) / (time.monotonic_ns() - at) for pid, (cpu, at) in before.items()]
    return max(shares), max(rss_bytes(pid) for pid in pids)


def one(programs, seconds):
    folder = tempfile.mkdtemp(prefix="cairn-bench-")
    system = System(programs, folder)
    try:
        begun = time.monotonic()
        system.start()
        system.dmg("pool", "create", "tank", "--scm-size=512MiB", "--nvme-size=4GiB").ok()
        start_s = time.monotonic() - begun
        cpu_pct, rss = idle(system, seconds)
        system.stop()
        begun = time.monotonic()
        system.start()
        until("the pool answers", lambda: system.dmg("pool", "query", "tank").rc == 0)
        restart_s = time.monotonic() - begun
        system.stop()
        return start_s, restart_s, cpu_pct, rss / (1 << 20)
    finally:
        if system.process is not None and system.process.poll() is None:
            system.process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--json", required=True)
    parser.add_argument("--reps", type=int)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    reps = args.reps or (1 if args.quick else 3)
    runs = [one(Programs(args.build), 2 if args.quick else 10) for _ in range(reps)]
    start_s, restart_s, cpu_pct, rss = (statistics.median(column) for column in zip(*runs))
    figures = [
        {"name": "system.start.time", "value": round(start_s, 3), "unit": "s", "target": 3},
        {"name": "system.restart.time", "value": round(restart_s, 3), "unit": "s", "target": 3},
        {"name": "engine.idle.cpu", "value": round(cpu_pct, 4), "unit": "% of core", "target": 1},
        {"name": "engine.idle.rss", "value": round(rss, 1), "unit": "MiB", "target": 100},
    ]
    for figure in figures:
        print(f"{figure['name']:<24}{figure['value']:>12} {figure['unit']}")
    with open(args.json, "w", encoding="utf-8") as f:
        json.dump(figures, f)
    return 0


if __name__ == "__main__":
    sys.exit(main())
