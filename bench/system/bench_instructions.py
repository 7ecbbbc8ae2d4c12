#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Instructions of one operation of vos by the number of keys: bench_mem's `dram` under callgrind. Of an update its transaction is counted (vos_tx_run),
of a fetch all of it (vos_fetch); other load does not change these.

usage: bench_instructions.py --build BUILD --json FILE [--quick] [--full] [--reps N] [--keys N[,N...] [--scale DIR]] [--dir DIR]

Also of the hot set of a store that grew on a disk (bench_mem's `scale`), which is made for that, and goes. --scale: of the one with that many keys that
`bench_mem --dir DIR --set keys=N --set keep=1 scale` left there; it stays.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

OPS_NR = 20000
# What bench_mark() ends: the second call ends the inserts, and so on.
PHASES = {2: "insert", 3: "update", 5: "fetch"}
SCALE_PHASES = {2: "scale_fetch", 4: "scale_update"}


def count(build, keys, folder, scale):
    """{phase: instructions of one operation}"""
    out = os.path.join(folder, "callgrind")
    body = ["--dir", scale, "--set", "reuse=1", "--set", "keep=1", "scale"] if scale else ["dram"]
    command = ["valgrind", "--tool=callgrind", "--toggle-collect=vos_fetch", "--toggle-collect=vos_tx_run", "--dump-before=bench_mark*",
               "--callgrind-out-file=" + out, os.path.join(build, "bench", "bench_mem"), "--set", f"keys={keys}", "--set", f"fetches={OPS_NR}"] + body
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    found = {}
    for number, phase in (SCALE_PHASES if scale else PHASES).items():
        with open(f"{out}.{number}", encoding="utf-8") as file:
            total = re.search(r"^totals: (\d+)", file.read(), re.MULTILINE)
        found[phase] = int(total.group(1)) / (keys if phase == "insert" else OPS_NR)
    return found


def scale_make(build, keys, folder):
    """A store that `count` with `scale` may look at."""
    command = [os.path.join(build, "bench", "bench_mem"), "--dir", folder, "--set", f"keys={keys}", "--set", "keep=1", "--set", f"fetches={OPS_NR}", "scale"]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--json", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--reps")  # counts differ by nothing
    parser.add_argument("--keys")
    parser.add_argument("--scale")
    parser.add_argument("--dir")
    args = parser.parse_args()
    sizes = [1000] if args.quick else [10000, 100000] + ([1000000] if args.full else [])
    if args.keys:
        sizes = [int(text) for text in args.keys.split(",")]
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed")
    figures = []
    for keys in sizes:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(dir=args.dir) as store:
            found = count(args.build, keys, folder, args.scale)
            if not args.scale and not args.quick:
                scale_make(args.build, keys, store)
                found.update(count(args.build, keys, folder, store))
            for phase, nr in found.items():
                figures.append({"name": f"mem.{phase}_instructions.{keys}", "value": round(nr, 1), "unit": "instr"})
                print(f"{figures[-1]['name']:<36} {nr:12.0f}")
    with open(args.json, "w", encoding="utf-8") as file:
        json.dump(figures, file, indent=1)
        file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
