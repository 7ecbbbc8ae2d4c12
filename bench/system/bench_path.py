#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where the time of small requests goes, on a system of one engine with one target whose tier is of class `ram`: microseconds, processor time and context switches of
client and engine (path_client.c); with --syscalls the system calls of each request (strace), with --stages the instructions of each stage (callgrind), with --samples its
microseconds (perf, as root, both processes on CPU 0, where nothing but the other one keeps them waiting). --left posts 64
updates of 1 MiB, makes no further call, and tells when they were done.

usage: bench_path.py --build BUILD [--net NET] [--bytes N] [--syscalls | --stages | --samples | --left]
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/cluster"))
from cluster import Programs, System, expect, until  # noqa: E402

NETS = {"unix": "unix", "tcp": "tcp", "ofi": "ofi+tcp;ofi_rxm"}
NR = {1: 20000, 16: 60000}
TOOL_NR = 3000
CLIENT_STAGES = [
    ("the call, all below", "client_run"), ("scheduler and loop, all below", "xstream_drive_new"), ("check of the arguments", "io_init"),
    ("update: data copied, checksum, request", "mod_run"), ("fetch: request, data copied, checksum", "fetch_once"),
    ("request and resends", "client_call"), ("one request: head, encoding, checksum", "rpc_call"),
    ("loop: send, receive", "plat_linux_loop_poll"), ("received bytes", "peer_feed"), ("answer: checksum, decoding", "on_recv")]
ENGINE_STAGES = [
    ("loop: send, receive", "plat_linux_loop_poll"), ("received bytes", "peer_feed"), ("message: checksum, copy, ULT", "on_recv"),
    ("the request's ULT, all below", "run_main"), ("decoding", "proto_decode"), ("handler of an update, all below", "engine_h_objsrv_apply"),
    ("handler of a fetch, all below", "engine_h_objsrv_fetch"), ("handles, container", "objsrv_begin"), ("vos: the transaction", "vos_tx_run"),
    ("memory of the value, cleared", "umem_alloc"), ("redo record", "umem_tx_commit"), ("log: sealing (checksum)", "bio_group_seal"),
    ("log: write", "group_write"), ("vos: look up a value", "vos_fetch_begin"), ("checkpoints", "bio_ckpt_run")]

KERNEL_STAGES = [
    ("system call: send", "__libc_sendmsg"), ("the same, one piece", "__send"), ("system call: receive", "__GI___readv"),
    ("the same, polling", "__libc_recv"), ("system calls: wait", "epoll_pwait2"), ("system calls: look", "epoll_wait"),
    ("system call: write", "pwritev64"), ("first touch of memory", "asm_exc_page_fault")]


class Path:
    def __init__(self, build, net, wrapper=None):
        self.build = build
        self.folder = tempfile.mkdtemp(prefix="cairn-path-")
        self.ram = tempfile.mkdtemp(prefix="cairn-path-", dir="/dev/shm")
        programs = Programs(build)
        self.system = System(programs, self.folder, engines=1, targets=1, net=NETS[net], kind="ram", name="path")
        self.system.storage = [os.path.join(self.ram, "engine0")]
        self.system.extra = ["scm_size: 3\n    bdev_size: 8"]
        if wrapper:
            path = os.path.join(self.folder, "daos_engine")
            with open(path, "w", encoding="utf-8") as f:
                f.write(f"#!/bin/sh\nexec {' '.join(wrapper)} {programs['daos_engine']} \"$@\"\n")
            os.chmod(path, 0o755)
            self.system.env["CAIRN_ENGINE"] = path

    def __enter__(self):
        self.system.start()
        self.system.dmg("pool", "create", "tank", "--scm-size=1GiB", "--nvme-size=4GiB").ok()
        self.pid = next(iter(self.system.pids().values()))
        self.env = dict(self.system.env, CAIRN_BENCH_SYS=self.system.name, CAIRN_BENCH_ENGINE=str(self.pid))
        return self

    def __exit__(self, *_):
        if self.system.process is not None and self.system.process.poll() is None:
            self.system.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.ram, ignore_errors=True)

    def client(self, *args, tool=()):
        argv = [*tool, os.path.join(self.build, "bench", "path_client"), *[str(a) for a in args]]
        done = subprocess.run(argv, env=self.env, stdout=subprocess.PIPE, stderr=None if not tool else subprocess.DEVNULL, text=True, check=False)
        expect(done.returncode == 0, f"path_client {args}: exit {done.returncode}")
        return done.stdout.rstrip()


def times(build, net, sizes):
    with Path(build, net) as path:
        for size in sizes:
            for op in ("update", "fetch"):
                for depth, nr in NR.items():
                    nr = min(nr, (1 << 30) // size)
                    print(f"{net} {op} {size} depth {depth}: {path.client(op, size, depth, nr)}", flush=True)


def strace_counts(path, nr):
    with open(path, encoding="utf-8") as f:
        rows = [line.split() for line in f]
    counts = {row[-1]: int(row[3]) for row in rows if len(row) > 4 and row[3].isdigit()}
    return "  ".join(f"{name} {n / nr:.2f}" for name, n in counts.items() if n / nr > 0.04 and name != "total")


def syscalls(build, net, sizes):
    with Path(build, net) as path:
        for op, depth in ((op, depth) for op in ("update", "fetch") for depth in NR):
            out = [os.path.join(path.folder, f"{side}.strace") for side in ("client", "engine")]
            tracer = subprocess.Popen(["strace", "-f", "-c", "-o", out[1], "-p", str(path.pid)], stderr=subprocess.PIPE, text=True)
            until("strace is there", lambda t=tracer: "attached" in t.stderr.readline())
            path.client(op, sizes[-1], depth, TOOL_NR, tool=("strace", "-f", "-c", "-o", out[0]))
            tracer.send_signal(2)
            tracer.wait()
            nr = TOOL_NR * (1 if op == "update" else 2)  # values that are fetched are written first
            for side, file in zip(("client", "engine"), out):
                print(f"{net} {op} {sizes[-1]} depth {depth} {side}: {strace_counts(file, nr)}", flush=True)


def inclusive(file):
    """Instructions by function, what it calls included."""
    text = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", file], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=True).stdout
    counts = {}
    for line in text.splitlines():
        found = re.match(r"\s*([\d,]+) \([^)]*\)\s+\S*:([\w']+)", line)
        if found:
            counts[found.group(2)] = max(counts.get(found.group(2), 0), int(found.group(1).replace(",", "")))
    return counts


def stages(build, net, sizes):
    size = sizes[-1]
    folder = tempfile.mkdtemp(prefix="cairn-stages-")
    files = {(side, op): os.path.join(folder, f"{side}.{op}") for side in ("client", "engine") for op in ("update", "fetch")}
    with Path(build, net) as path:
        for op in ("update", "fetch"):
            path.client(op, size, 1, TOOL_NR, tool=("valgrind", "--tool=callgrind", f"--callgrind-out-file={files['client', op]}",
                                                    "--toggle-collect=values"))
    base = os.path.join(folder, "engine.out")
    with Path(build, net, ["valgrind", "--tool=callgrind", f"--callgrind-out-file={base}"]) as path:
        path.client("update", size, 1, TOOL_NR // 10)
        for i, op in enumerate(("update", "fetch")):
            subprocess.run(["callgrind_control", "-z", str(path.pid)], stdout=subprocess.DEVNULL, check=True)
            path.client(op, size, 1, TOOL_NR)
            subprocess.run(["callgrind_control", "--dump", str(path.pid)], stdout=subprocess.DEVNULL, check=True)
            until("the dump is there", lambda i=i: os.path.exists(f"{base}.{i + 1}"))
            time.sleep(1)  # it is written
            os.rename(f"{base}.{i + 1}", files["engine", op])
    print(f"instructions of each request of {size} bytes, calls included (a fetch: less those of the update before it)")
    for side, table in (("client", CLIENT_STAGES), ("engine", ENGINE_STAGES)):
        update, both = inclusive(files[side, "update"]), inclusive(files[side, "fetch"])
        for text, name in table:
            u = update.get(name, 0) / TOOL_NR
            print(f"{side} {name:24} {u:9.0f} {max(both.get(name, 0) / TOOL_NR - u, 0):9.0f}  {text}")
    shutil.rmtree(folder, ignore_errors=True)


def sampled(path, comm, span):
    """Samples of a thread within the span, by function with what it calls, and their number."""
    script = subprocess.run(["perf", "script", "-i", path, "-F", "comm,time,ip,sym"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    counts, nr = {}, 0
    for block in script.split("\n\n"):
        head, *frames = block.strip().splitlines() or [""]
        words = head.split()
        if len(words) < 2 or words[0] != comm or not span[0] <= float(words[-1].rstrip(":")) <= span[1]:
            continue
        nr += 1
        for name in {frame.split()[1].split("+")[0] for frame in frames if len(frame.split()) > 1}:
            counts[name] = counts.get(name, 0) + 1
    return counts, nr


def samples(build, net, sizes):
    size = sizes[-1]
    print(f"{net}: us of each request of {size} bytes, calls included, both processes on one CPU")
    rows = {}
    with Path(build, net, ["taskset", "-c", "0"]) as path:
        for op in ("update", "fetch"):
            data = os.path.join(path.folder, "perf.data")
            text = path.client(op, size, 1, 4 * NR[1],
                               tool=("perf", "record", "-q", "-a", "-C", "0", "-F", "2000", "-k", "CLOCK_MONOTONIC", "-g", "-e", "cpu-clock", "-o", data, "--", "taskset", "-c", "0"))
            span = [float(x) for x in re.search(r"from ([\d.]+) to ([\d.]+) s", text).groups()]
            print(f"{op}: {text}")
            for side, comm, table in (("client", "path_client", CLIENT_STAGES), ("engine", "tgt0", ENGINE_STAGES)):
                cpu_us = float(re.search(side + r" cpu ([\d.]+) us", text).group(1))
                counts, nr = sampled(data, comm, span)
                for what, name in [("all", None)] + table + KERNEL_STAGES:
                    us = cpu_us if name is None else cpu_us * counts.get(name, 0) / max(nr, 1)
                    rows.setdefault((side, name, what), {})[op] = us
    for (side, name, what), us in rows.items():
        print(f"{side} {name or '':24} {us.get('update', 0):7.2f} {us.get('fetch', 0):7.2f}  {what}")


def left(build, net, _sizes):
    start = time.monotonic()
    with Path(build, net) as path:
        said = path.client("left", 1 << 20, 64)
    print(f"ok bench.left_{net} {(time.monotonic() - start) * 1000:.0f} {said}", flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--net", choices=sorted(NETS))
    parser.add_argument("--bytes", type=int)
    for name in ("syscalls", "stages", "samples", "left"):
        parser.add_argument("--" + name, action="store_true")
    args = parser.parse_args()
    what = syscalls if args.syscalls else stages if args.stages else samples if args.samples else left if args.left else times
    for net in [args.net] if args.net else NETS:
        what(args.build, net, [args.bytes] if args.bytes else [64, 4096])
    return 0


if __name__ == "__main__":
    sys.exit(main())
