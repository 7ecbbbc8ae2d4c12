#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Durable values through libdaos, on a system of one engine with one target whose files lie on a disk, held against what fio reaches with 4 KiB
random writes, 16 in flight, O_DIRECT, on the same file system: without and with O_DSYNC. One after the other in each repetition, since a
disk that others use too changes from minute to minute; medians count.

usage: bench_durable.py --build BUILD --json FILE [--quick] [--reps N] [--net NET] [--dir DIR]
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/cluster"))
from cluster import Programs, System  # noqa: E402

NETS = {"unix": "unix", "tcp": "tcp", "ofi": "ofi+tcp;ofi_rxm"}


def fio_iops(folder, sync, seconds):
    """What fio writes per second; None: it is not installed (make deps-bench)."""
    if shutil.which("fio") is None:
        return None
    command = ["fio", "--name=w", "--filename=" + os.path.join(folder, "fio"), "--size=256M", "--overwrite=1", "--rw=randwrite", "--bs=4k",
               "--iodepth=16", "--ioengine=io_uring", "--direct=1", "--sync=" + sync, f"--runtime={seconds}", "--time_based",
               "--output-format=json"]
    out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True).stdout
    return json.loads(out[out.index("{"):])["jobs"][0]["write"]["iops"]


def one(args, folder):
    system = System(Programs(args.build), folder, engines=1, targets=1, net=NETS[args.net], kind="file")
    system.extra = ["scm_size: 3\n    bdev_size: 8"]
    figures = os.path.join(folder, "figures.json")
    command = [os.path.join(args.build, "bench", "bench_client"), "--json", figures, "--reps", "1"]
    command += ["--quick"] if args.quick else []
    seen = {}
    try:
        system.start()
        system.dmg("pool", "create", "tank", "--scm-size=1GiB", "--nvme-size=4GiB").ok()
        env = dict(system.env, CAIRN_BENCH_NET=args.net, CAIRN_BENCH_SYS=system.name, CAIRN_BENCH_DURABLE="1")
        for _ in range(args.reps):
            for name, sync in ("durable.fio_16.4096", "none"), ("durable.fio_dsync_16.4096", "dsync"):
                iops = fio_iops(folder, sync, 1 if args.quick else 2)
                if iops is not None:
                    seen.setdefault(name, []).append({"name": name, "unit": "/s", "value": iops})
            subprocess.run(command + ["client_page"], env=env, check=True, stdout=subprocess.DEVNULL)
            with open(figures, encoding="utf-8") as f:
                for figure in json.load(f):
                    seen.setdefault(figure["name"], []).append(figure)
        system.stop()
    finally:
        if system.process is not None and system.process.poll() is None:
            system.process.kill()
    return seen


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--json", required=True)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--net", choices=sorted(NETS), default="unix")
    parser.add_argument("--dir", default="/var/tmp")
    args = parser.parse_args()
    if args.quick:
        args.reps = 1
    folder = tempfile.mkdtemp(prefix="cairn-bench-", dir=args.dir)
    try:
        seen = one(args, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures = []
    for name, runs in seen.items():
        values = sorted(run["value"] for run in runs)
        figures.append(dict(runs[0], value=statistics.median(values)))
        print(f"{name:<32} {figures[-1]['value']:16.6g} {runs[0]['unit']:<12} ({values[0]:.6g} .. {values[-1]:.6g})")
    fio = seen.get("durable.fio_16.4096")
    for figure in figures:
        if fio and "update16" in figure["name"]:
            figure["target"] = 0.6 * statistics.median(run["value"] for run in fio)
        if not fio:
            figure.pop("against", None)
    with open(args.json, "w", encoding="utf-8") as f:
        json.dump(figures, f)
    return 0


if __name__ == "__main__":
    sys.exit(main())
