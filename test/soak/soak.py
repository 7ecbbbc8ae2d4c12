#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Endurance: a system of two engines under limits of memory and descriptors, clients with mixed load that come, go, are stopped and killed, engines
that are killed, pools that are created and destroyed. Nothing may grow beyond a bound after the warm-up, every acknowledged write must be there, and when
all have left every counter must be back at its idle value. README.md says how.

usage: soak.py --build BUILD [--minutes M] [--nets unix,tcp,ofi] [--seed N] [--workers N] [--rate N] [--visits N] [--short] [--plant LEAK] [--json FILE]
"""
import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../cluster"))
from cluster import Failure, Programs, System, expect, processes_of, read, until  # noqa: E402

MIB = 1 << 20
NETS = {"unix": "unix", "tcp": "tcp", "ofi": "ofi+tcp;ofi_rxm"}
ENGINES, TARGETS = 2, 2
TAGS = 1 + TARGETS
PLANTS = ("connection", "space", "memory")

# The limits that the kernel enforces, of each process.
LIMITS = {
    "engine": {resource.RLIMIT_NOFILE: 192, resource.RLIMIT_DATA: 512 * MIB},
    "client": {resource.RLIMIT_NOFILE: 64, resource.RLIMIT_DATA: 256 * MIB},
}
# What may come on top of the most that the warm-up saw.
GROWTH = {"rss": 48 * MIB, "threads": 0, "maps": 256, "stacks": 64}
# Links between two engines are made when needed, and then stay. At each end: services to all other tags, targets to all services.
LINKS_NR_MAX = 2 * ((ENGINES * TAGS - 1) + TARGETS * ENGINES)
# What may come on top of the idle value, when all have left.
IDLE = {"fds": 0, "threads": 0, "conns": 0, "ults": 0, "msgs": 0, "calls": 0, "requests": 0, "buf_bytes": 0,
        "reservations": 0, "tgt_running": 0}
META_LEFT_MIB, DATA_LEFT_MIB = 0.5, 0  # of a target, when its pools are gone


def limits_set(which):
    if which == "client":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # until it is ready for it
    for what, value in LIMITS[which].items():
        resource.setrlimit(what, (value, value))


def cpu_s():
    """Processor time of all that has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def proc_look(pid):
    """What a process holds, as its host sees it; None when it is gone."""
    try:
        status = dict(line.split(":", 1) for line in read(f"/proc/{pid}/status").splitlines() if ":" in line)
        with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
            maps = sum(1 for _ in f)
        return {"rss": int(status["VmRSS"].split()[0]) * 1024, "data": int(status["VmData"].split()[0]) * 1024,
                "threads": int(status["Threads"]), "fds": len(os.listdir(f"/proc/{pid}/fd")), "maps": maps}
    except (OSError, KeyError, ValueError):
        return None


class SoakSystem(System):
    def spawn(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.programs["daos_server"], "start", "-o", self.config()], env=self.env,
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            preexec_fn=lambda: limits_set("engine"))
        return self

    def counters(self, rank):
        """Of an engine: {tag: {name: value}}; None when it does not answer."""
        done = self.run("soak_count", os.path.join(self.sys_dir, f"engine{rank}.ctl"))
        if done.rc != 0:
            return None
        tags = {}
        for line in done.out.splitlines():
            name, value = line.split()
            tag, what = name.split(".")
            tags.setdefault(int(tag), {})[what] = int(value)
        return tags

    def pool_count(self, label):
        """Open handles and containers of a pool."""
        done = self.run("soak_count", os.path.join(self.sys_dir, "daos_server.sock"), label).ok()
        counts = dict(line.split() for line in done.out.splitlines())
        return int(counts["handles"]), int(counts["containers"])

    def look(self, rank, pid):
        """Process and counters of an engine in one: sums over its tags."""
        seen, tags = proc_look(pid), self.counters(rank)
        if seen is None or tags is None:
            return None
        for counts in tags.values():
            for name, value in counts.items():
                seen[name] = seen.get(name, 0) + value
        return seen

    def space_used(self):
        """Bytes in use, metadata and data, of all targets."""
        tags = [self.counters(rank) for rank in range(ENGINES)]
        expect(None not in tags, "an engine does not answer")
        return [sum(t[tag][what] for t in tags for tag in range(1, TAGS)) for what in ("meta_used", "data_used")]


class Worker:
    """A client, and its successors with the same record."""

    def __init__(self, soak, ident, pool):
        self.soak, self.ident, self.pool = soak, ident, pool
        self.record = os.path.join(soak.system.dir, f"record.{ident}.{pool}")
        self.out = os.path.join(soak.system.dir, f"worker.{ident}.{pool}.out")
        self.process = None
        self.stopped_until = 0
        self.kills = 0

    def start(self):
        soak = self.soak
        with open(self.out, "ab") as out:
            self.process = subprocess.Popen(
                [soak.system.programs["soak_client"], "work", soak.system.name, self.pool, str(self.ident),
                 str(soak.rand.getrandbits(60)), self.record, str(soak.args.rate), str(soak.args.writes)],
                env=soak.system.env, stdout=out, stderr=out, stdin=subprocess.DEVNULL, preexec_fn=lambda: limits_set("client"))

    def check(self):
        rc = self.process.poll()
        expect(rc is None, f"client {self.ident} ended with {rc}: {read(self.out)[-400:]}")

    def stop(self, seconds):
        until_ns = time.monotonic() + seconds
        self.process.send_signal(signal.SIGSTOP)
        self.stopped_until = until_ns

    def cont(self):
        self.process.send_signal(signal.SIGCONT)
        self.stopped_until = 0

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.stopped_until = 0
        self.kills += 1
        self.soak.kills += 1

    def end_begin(self):
        if self.stopped_until:
            self.cont()
        self.process.send_signal(signal.SIGTERM)

    def end_wait(self):
        try:
            rc = self.process.wait(timeout=180)
        except subprocess.TimeoutExpired:
            raise Failure(f"client {self.ident} does not end: {read(self.out)[-400:]}") from None
        expect(rc == 0, f"client {self.ident} ended with {rc}: {read(self.out)[-400:]}")
        last = read(self.out).splitlines()[-1].split()
        self.soak.writes += int(last[1])
        self.soak.reads += int(last[2])
        self.soak.checks += int(last[3])


class Soak:
    def __init__(self, args, net, folder, ram):
        self.args, self.net = args, net
        self.rand = random.Random(f"{args.seed}.{net}")
        self.system = SoakSystem(Programs(args.build), folder, engines=ENGINES, targets=TARGETS, net=NETS[net], kind="ram",
                                 port=args.port)
        self.system.storage = [os.path.join(ram, f"engine{i}") for i in range(ENGINES)]
        self.system.extra = ["scm_size: 2\n    bdev_size: 8"] * ENGINES
        self.workers = []
        self.kills = self.stops = self.engine_kills = self.pools_made = 0
        self.writes = self.reads = self.checks = 0
        self.warm = [{} for _ in range(ENGINES)]  # most of each figure in the warm-up
        self.most = [{} for _ in range(ENGINES)]
        self.is_warm = False
        self.idle = [None] * ENGINES
        self.series = []
        self.client_most = {"rss": 0, "fds": 0, "threads": 0}
        self.pids = {}
        self.holders = []

    # ---- steps

    def pool_create(self, label, meta="512MiB", data="2GiB"):
        self.system.dmg("pool", "create", label, f"--scm-size={meta}", f"--nvme-size={data}").ok()
        self.pools_made += 1

    def pool_destroy(self, label, force):
        self.system.dmg("pool", "destroy", label, *(["--force"] if force else []), "--recursive").ok()

    def visits(self, nr, pool="tank"):
        """Clients that come and go, one after the other, in four processes."""
        argv = [self.system.programs["soak_client"], "connects", self.system.name, pool]
        running = [subprocess.Popen([*argv, str(nr // 4 + 1)], env=self.system.env, stdin=subprocess.DEVNULL,
                                    preexec_fn=lambda: limits_set("client")) for _ in range(4)]
        for process in running:
            expect(process.wait(timeout=1200) == 0, "a client that comes and goes failed")

    def idle_wait(self, rank):
        """The counters of an engine that nobody uses: wait until they stay the same."""
        pid = self.system.pids()[rank]
        last = None
        for _ in range(600):
            seen = self.system.look(rank, pid)
            now = seen and {name: seen[name] for name in IDLE}
            if now is not None and now == last:
                return seen
            last = now
            time.sleep(0.2)
        raise Failure(f"engine {rank} does not come to rest: {last}")

    def sample(self):
        row = {"s": round(time.monotonic() - self.begun, 1)}
        for rank, pid in self.pids.items():
            seen = self.system.look(rank, pid)
            if seen is None:
                continue  # between two lives
            row[rank] = seen
            for name, value in seen.items():
                into = self.most if self.is_warm else self.warm
                into[rank][name] = max(into[rank].get(name, 0), value)
        server = proc_look(self.system.process.pid)
        if server:
            row["server"] = server
        for worker in self.workers:
            seen = proc_look(worker.process.pid)
            for name in self.client_most if seen else ():
                self.client_most[name] = max(self.client_most[name], seen[name])
        self.series.append(row)
        return row

    def growth_check(self):
        for rank, most in enumerate(self.most):
            for name, bound in self.args.growth.items():
                if name in most:
                    expect(most[name] <= self.warm[rank][name] + bound,
                           f"engine {rank}: {name} grew from {self.warm[rank][name]} in the warm-up to {most[name]}, bound {bound}")

    # ---- accidents

    def worker_kill(self):
        worker = self.rand.choice(self.workers)
        worker.kill()
        worker.start()

    def worker_stop(self):
        worker = self.rand.choice(self.workers)
        if not worker.stopped_until:
            worker.stop(self.rand.uniform(0.2, 3))
            self.stops += 1

    def engine_kill(self):
        rank = self.rand.randrange(ENGINES)
        os.kill(self.pids[rank], signal.SIGKILL)
        self.engine_kills += 1
        until("the engine is back", lambda: self.pids_new(rank))

    def pids_new(self, rank):
        members = self.system.members()
        if members[rank]["state"] != "joined" or members[rank]["pid"] == self.pids[rank]:
            return False
        self.pids = {r: m["pid"] for r, m in members.items()}
        return True

    def pool_turn(self):
        """The pool of the last worker goes, with or without the client's leave, and another one comes."""
        worker = self.workers.pop()
        is_killed = self.rand.random() < 0.5
        if is_killed:
            worker.kill()
        else:
            worker.end_begin()
            worker.end_wait()
        self.pool_destroy(worker.pool, False)  # handles of killed clients are in nobody's way
        for path in (worker.record, worker.out):
            os.unlink(path)
        self.guest_start()

    def guest_start(self):
        label = f"guest{self.pools_made}"
        self.pool_create(label, meta="128MiB", data="1GiB")
        self.workers.append(Worker(self, 100, label))
        self.workers[-1].start()

    # ---- the whole

    def load(self, seconds):
        """Load and accidents for a while. Mean time between: kills 3 s, stops 5 s; engines and pools as the arguments say."""
        end = time.monotonic() + seconds
        now = time.monotonic()
        next_sample, next_engine = now, now + self.args.engine_s
        next_pool, next_look = now + self.args.pool_s, now
        tick = 0.1
        while now < end:
            for worker in self.workers:
                if worker.stopped_until and worker.stopped_until <= now:
                    worker.cont()
                worker.check()
            expect(self.system.process.poll() is None, "daos_server ended")
            if self.rand.random() < tick / self.args.kill_s:
                self.worker_kill()
            if self.rand.random() < tick / 5:
                self.worker_stop()
            if now >= next_engine:
                self.engine_kill()
                next_engine = time.monotonic() + self.rand.uniform(0.5, 1.5) * self.args.engine_s
            if now >= next_pool:
                self.pool_turn()
                next_pool = time.monotonic() + self.args.pool_s
            if now >= next_sample:
                self.sample()
                next_sample = now + self.args.sample_s
            if self.is_warm and now >= next_look:
                self.growth_check()
                next_look = now + 5
            time.sleep(tick)
            now = time.monotonic()

    def run(self):
        self.begun = time.monotonic()
        self.cpu_begun = cpu_s()
        self.system.start()
        self.system.wait_joined()
        used = self.system.space_used()
        self.pool_create("tank")
        self.visits(8)
        for _ in range(4):  # their services are on all engines: all links between engines are made
            label = f"early{self.pools_made}"
            self.pool_create(label, meta="64MiB", data="128MiB")
            self.visits(4, label)
            self.pool_destroy(label, True)
        self.pids = self.system.pids()
        idle = [self.idle_wait(rank) for rank in range(ENGINES)]
        if self.args.plant == "connection":
            self.plant_hold()
        self.visits(self.args.visits)
        for i in range(self.args.workers):
            self.workers.append(Worker(self, i, "tank"))
            self.workers[-1].start()
        self.guest_start()
        self.load(self.args.warm_s)
        self.is_warm = True
        if self.args.plant == "memory":
            argv = [self.system.programs["soak_client"], "grow", self.system.name, "tank", "40000"]
            self.holders.append(subprocess.Popen(argv, env=self.system.env, stdin=subprocess.DEVNULL))
        self.load(self.args.seconds - self.args.warm_s)
        self.growth_check()
        self.leave()
        self.rest_check(idle)
        self.empty_check(used)
        self.system.stop()
        self.cpu = (cpu_s() - self.cpu_begun) / (time.monotonic() - self.begun)

    def plant_hold(self):
        """A planted leak: clients that nobody knows of stay."""
        argv = [self.system.programs["soak_client"], "hold", self.system.name, "tank"]
        self.holders = [subprocess.Popen(argv, env=self.system.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                        for _ in range(4)]

    def leave(self):
        for worker in self.workers:
            worker.end_begin()
        for worker in self.workers:
            worker.end_wait()
        for worker in self.workers:
            if worker.pool != "tank":
                self.pool_destroy(worker.pool, False)

    def rest_check(self, idle):
        """All have left: each counter is back where it was before the first client came."""
        self.pids = self.system.pids()

        def differ():
            out = []
            for rank in range(ENGINES):
                seen = self.system.look(rank, self.pids[rank])
                links = max(0, LINKS_NR_MAX - idle[rank]["conns"])
                for name, more in IDLE.items():
                    more += links if name in ("conns", "fds") else 0
                    if seen is None or seen[name] > idle[rank][name] + more:
                        out.append(f"engine {rank}: {name} {seen and seen[name]}, idle {idle[rank][name]}")
            self.handles, conts = self.system.pool_count("tank")
            if self.handles or conts != 1:
                out.append(f"the pool: {self.handles} handles, {conts} containers, not that of the visits alone")
            self.differs = out
            return not out

        try:
            until("rest", differ, 60)
        except Failure:
            raise Failure("stuck after all clients left: " + "; ".join(self.differs)) from None
        self.rest = {rank: self.system.look(rank, self.pids[rank]) for rank in range(ENGINES)}

    def empty_check(self, used):
        """Without pools the targets are as empty as at the beginning."""
        if self.args.plant == "space":
            self.pool_create("forgotten")
            subprocess.run([self.system.programs["soak_client"], "grow", self.system.name, "forgotten", "4000"],
                           env=self.system.env, check=True)
        self.pool_destroy("tank", True)
        left = []

        def is_empty():
            left[:] = [(now - then) / MIB for now, then in zip(self.system.space_used(), used)]
            return left[0] <= META_LEFT_MIB and left[1] <= DATA_LEFT_MIB

        try:
            until("empty targets", is_empty, 60)
        except Failure:
            raise Failure(f"space is left in use: {left[0]:.1f} MiB of metadata, {left[1]:.1f} of data") from None
        self.left = left

    def end(self):
        for process in [w.process for w in self.workers] + [self.system.process] + self.holders:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        for pid in processes_of(self.system.dir):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass

    def figures(self):
        mib = lambda value: round(value / MIB, 1)  # noqa: E731
        out = {"net": self.net, "seconds": round(time.monotonic() - self.begun), "cores": round(self.cpu, 2), "writes": self.writes, "reads": self.reads,
               "checks": self.checks, "clients_killed": self.kills, "clients_stopped": self.stops, "visits": self.args.visits,
               "engines_killed": self.engine_kills, "pools": self.pools_made, "handles_left": self.handles,
               "client_rss_mib": mib(self.client_most["rss"]), "client_fds": self.client_most["fds"],
               "client_threads": self.client_most["threads"], "left_meta_mib": round(self.left[0], 2),
               "left_data_mib": round(self.left[1], 2), "server_rss_mib": [mib(r["server"]["rss"]) for r in self.series if "server" in r][-1]}
        for rank in range(ENGINES):
            for name in ("rss", "fds", "threads", "ults", "stacks", "conns", "handles", "buf_bytes", "data"):
                show = mib if name in ("rss", "data", "buf_bytes") else int
                out[f"engine{rank}_{name}"] = {"warm": show(self.warm[rank].get(name, 0)), "most": show(self.most[rank].get(name, 0)),
                                               "rest": show(self.rest[rank][name])}
        return out


def one(args, net):
    folder = tempfile.mkdtemp(prefix="cairn-soak-")
    ram = tempfile.mkdtemp(prefix="cairn-soak-", dir="/dev/shm")
    soak = Soak(args, net, folder, ram)
    begun = time.monotonic()
    error = None
    try:
        soak.run()
    except Failure as e:
        error = str(e)
    finally:
        soak.end()
        if args.json:
            with open(f"{args.json}.{net}.series", "w", encoding="utf-8") as f:
                json.dump(soak.series, f)
        if error is None or args.plant or not args.keep:
            shutil.rmtree(ram, ignore_errors=True)
    ms = int(1000 * (time.monotonic() - begun))
    if args.plant:
        caught = error is not None and any(word in error for word in ("stuck", "left in use", "grew"))
        print(f"    {args.plant}: {error}", file=sys.stderr, flush=True)
        print(f"{'ok' if caught else 'FAIL'} soak.plant_{args.plant}/linux {ms} linux only: processes", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        return None if not caught else {}
    if error is not None:
        print(f"    {error}\n    left for inspection: {folder}", file=sys.stderr, flush=True)
        print(f"FAIL soak.{net}/linux {ms} {error.splitlines()[0][:300]}", flush=True)
        return None
    shutil.rmtree(folder, ignore_errors=True)
    figures = soak.figures()
    print(f"    {json.dumps(figures)}", file=sys.stderr, flush=True)
    print(f"ok soak.{net}/linux {ms} linux only: processes", flush=True)
    return figures


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--nets", default="unix,tcp,ofi")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, help="first of the engines; default: free ones")
    parser.add_argument("--workers", type=int, default=5)
    parser.add_argument("--rate", type=int, default=60, help="operations a second of a client")
    parser.add_argument("--writes", type=int, default=500, help="of a generation")
    parser.add_argument("--visits", type=int, default=5000, help="connects before the warm-up, so that request tables are full")
    parser.add_argument("--kill-s", type=float, default=3)
    parser.add_argument("--engine-s", type=float, default=90)
    parser.add_argument("--pool-s", type=float, default=40)
    parser.add_argument("--sample-s", type=float, default=5)
    parser.add_argument("--short", action="store_true", help="a little of everything in a minute")
    parser.add_argument("--plant", choices=PLANTS)
    parser.add_argument("--keep", action="store_true", help="the storage of a run that failed")
    parser.add_argument("--json")
    parser.set_defaults(growth=GROWTH)
    if "--short" in sys.argv:
        parser.set_defaults(minutes=0.6, nets="unix", visits=40, kill_s=1, engine_s=8, pool_s=6, sample_s=1, writes=200,
                            growth={**GROWTH, "rss": 20 * MIB})
    args = parser.parse_args()
    nets = args.nets.split(",")
    if args.plant:
        args.engine_s = 1e9  # what is planted would go with it
    args.seconds = 60 * args.minutes / len(nets)
    args.warm_s = args.seconds / 5
    figures = []
    for net in nets:
        figures.append(one(args, net))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(figures, f, indent=1)
    return 1 if None in figures else 0


if __name__ == "__main__":
    sys.exit(main())
