#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a program sees through libdaos: single values and arrays, over each backend of the network, on a system of one engine with one
target whose tier is of class `ram`. The figures are those of bench/system/client_bench.c.

usage: bench_client.py --build BUILD --json FILE [--quick] [--reps N] [--net NET] [--keep] [FILTER]
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/cluster"))
from cluster import Programs, System  # noqa: E402

NETS = {"unix": "unix", "tcp": "tcp", "ofi": "ofi+tcp;ofi_rxm"}


def one(args, net):
    folder = tempfile.mkdtemp(prefix="cairn-bench-")
    ram = tempfile.mkdtemp(prefix="cairn-bench-", dir="/dev/shm")
    system = System(Programs(args.build), folder, engines=1, targets=1, net=NETS[net], kind="ram")
    system.storage = [os.path.join(ram, "engine0")]
    system.extra = ["scm_size: 3\n    bdev_size: 8"]
    figures = os.path.join(folder, "figures.json")
    command = [os.path.join(args.build, "bench", "bench_client"), "--json", figures]
    command += ["--quick"] if args.quick else []
    command += ["--reps", str(args.reps)] if args.reps else []
    command += [args.filter] if args.filter else []
    try:
        system.start()
        system.dmg("pool", "create", "tank", "--scm-size=1GiB", "--nvme-size=4GiB").ok()
        env = dict(system.env, CAIRN_BENCH_NET=net, CAIRN_BENCH_SYS=system.name)
        subprocess.run(command, env=env, check=True)
        system.stop()
        with open(figures, encoding="utf-8") as f:
            return json.load(f)
    finally:
        if system.process is not None and system.process.poll() is None:
            system.process.kill()
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(ram, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--json", required=True)
    parser.add_argument("--reps", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--net", choices=sorted(NETS))
    parser.add_argument("filter", nargs="?")
    args = parser.parse_args()
    figures = []
    for net in [args.net] if args.net else NETS:
        figures += one(args, net)
    with open(args.json, "w", encoding="utf-8") as f:
        json.dump(figures, f)
    return 0


if __name__ == "__main__":
    sys.exit(main())
