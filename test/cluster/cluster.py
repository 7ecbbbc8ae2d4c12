# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Real processes for tests: a system of daos_server and its engines in a directory of its own, our command lines, and the lines of the harness.

A test is a function with @suite.test; it raises Failure, or passes. Nothing sleeps for a fixed time: until() waits for a condition, with an end. After each
test every process whose command line names the test's directory must be gone; one that is left fails the test and is ended.
"""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

WAIT_S = int(os.environ.get("CAIRN_TEST_WAIT_S", "60"))


class Failure(Exception):
    pass


class Skip(Exception):
    """The test cannot run here; its text says why. test/skips.txt names it."""


def expect(cond, text):
    if not cond:
        raise Failure(text)


def until(what, fn, seconds=WAIT_S):
    """Wait until fn() is true; its value."""
    end = time.monotonic() + seconds
    while True:
        value = fn()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def processes_of(text):
    """Pids of the processes whose command line holds `text`, but this one."""
    pids = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as f:
                line = f.read()
            with open(f"/proc/{name}/stat") as f:
                state = f.read().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if text.encode() in line and state not in "ZX":
            pids.append(int(name))
    return pids


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def acked(path):
    """How many keys a client that puts from 0 on was told to be stored: its record lies outside of the system."""
    keys = [int(line.split()[1]) for line in read(path).splitlines() if line.startswith("ack ") and len(line.split()) == 2]
    expect(keys == list(range(len(keys))), f"{path}: keys out of order")
    return len(keys)


def rss_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def free_port(nr=8):
    """The first of `nr` ports of 127.0.0.1 that are free now."""
    for port in range(random.SystemRandom().randrange(20000, 29000), 32000, nr):
        held = []
        try:
            for p in range(port, port + nr):
                s = socket.socket()
                held.append(s)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("127.0.0.1", p))
            return port
        except OSError:
            continue
        finally:
            for s in held:
                s.close()
    raise Failure("no free ports")


class Suite:
    def __init__(self, name):
        self.name = name
        self.tests = []

    def test(self, fn):
        self.tests.append(fn)
        return fn

    def run(self, make, names=(), reason="processes of the system"):
        """Run the tests (those named, else all) with make(dir) as argument, print their lines, return the exit status."""
        failed = 0
        for fn in self.tests:
            name = fn.__name__.removeprefix("test_")
            if names and name not in names:
                continue
            folder = tempfile.mkdtemp(prefix="cairn-")
            begun = time.monotonic()
            error = skipped = None
            try:
                fn(make(folder))
            except Skip as e:
                skipped = str(e)
            except Failure as e:
                error = str(e)
            except Exception:  # pylint: disable=broad-except
                error = "exception"
                traceback.print_exc()
            left = processes_of(folder)
            if left:
                try:
                    until("the end of all processes", lambda: not processes_of(folder), 3)
                except Failure:
                    error = error or f"processes are left: {left}"
                    for pid in processes_of(folder):
                        os.kill(pid, signal.SIGKILL)
            ms = int(1000 * (time.monotonic() - begun))
            if error is None and skipped is not None:
                shutil.rmtree(folder, ignore_errors=True)
                print(f"skip {self.name}.{name}/linux {ms} {skipped}", flush=True)
            elif error is None:
                shutil.rmtree(folder, ignore_errors=True)
                print(f"ok {self.name}.{name}/linux {ms} linux only: {reason}", flush=True)
            else:
                failed += 1
                print(f"    {error}\n    left for inspection: {folder}", file=sys.stderr, flush=True)
                print(f"FAIL {self.name}.{name}/linux {ms} {error.splitlines()[0][:200]}", flush=True)
        return 1 if failed else 0


class Programs:
    """Where the programs are: in a build tree, or named one by one (daos_server=..., daos_engine=...)."""

    PLACES = ("src/control", "src/control/cli_user", "src/engine/main", "src/engine", "test/cluster", "test/soak", "bin", "")

    def __init__(self, build=None, **paths):
        self.build = os.path.abspath(build) if build else None
        self.paths = {k: os.path.abspath(v) for k, v in paths.items()}

    def __getitem__(self, name):
        if name in self.paths:
            return self.paths[name]
        for place in self.PLACES if self.build else ():
            path = os.path.join(self.build, place, name)
            if os.path.isfile(path):
                return path
        raise Failure(f"{name} is not in {self.build}: build it first")


class Done:
    """What a command line did."""

    def __init__(self, argv, done):
        self.argv = argv
        self.rc = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    def text(self):
        return f"`{' '.join(self.argv[0:1] + self.argv[1:])}`: exit {self.rc}, out {self.out[:300]!r}, err {self.err[:300]!r}"

    def ok(self):
        expect(self.rc == 0, self.text())
        return self

    def fails(self, *parts):
        """It failed with one line that says all of this."""
        expect(self.rc == 1, self.text())
        expect(self.err.count("\n") == 1, f"not one line: {self.text()}")
        for part in parts:
            expect(part in self.err, f"does not say {part!r}: {self.text()}")
        return self

    def json(self):
        """The envelope of -j."""
        try:
            answer = json.loads(self.out)
        except json.JSONDecodeError:
            raise Failure(f"no JSON: {self.text()}") from None
        expect(set(answer) == {"response", "error", "status"}, f"fields {sorted(answer)}: {self.text()}")
        expect((answer["status"] == 0) == (self.rc == 0), f"status and exit code differ: {self.text()}")
        expect((answer["error"] is None) == (self.rc == 0), f"error and exit code differ: {self.text()}")
        return answer

    def response(self):
        answer = self.json()
        expect(answer["status"] == 0, f"{answer['error']} ({self.text()})")
        return answer["response"]


class System:
    """daos_server with its engines, in a directory."""

    def __init__(self, programs, folder, engines=2, targets=2, name="test", net="unix", port=None, env=None, kind="file"):
        self.programs = programs
        self.dir = folder
        self.engines = engines
        self.targets = targets
        self.name = name
        self.net = net
        self.kind = kind  # class of the tiers
        self.port = port or free_port(engines * (targets + 1))
        self.run_dir = os.path.join(folder, "run")
        self.sys_dir = os.path.join(self.run_dir, name)
        self.env = dict(os.environ, CAIRN_RUNTIME_DIR=self.run_dir, **(env or {}))
        self.env.pop("CAIRN_EMBEDDED", None)
        self.process = None
        self.log = os.path.join(folder, f"{name}.log")
        self.storage = [os.path.join(folder, f"engine{i}") for i in range(engines)]
        self.extra = [""] * engines  # more YAML lines of an engine's storage tier
        self.engine_extra = [""] * engines
        self.devices = [None] * engines  # (class, paths, more YAML lines) of a tier of devices
        self.args = []  # more of daos_server

    def set_run_dir(self, path):
        self.run_dir = path
        self.sys_dir = os.path.join(path, self.name)
        self.env["CAIRN_RUNTIME_DIR"] = path

    def config(self):
        lines = [f"name: {self.name}", f"provider: {self.net}", f"socket_dir: {self.run_dir}", "engines:"]
        for i in range(self.engines):
            lines += [f"- targets: {self.targets}", "  fabric_iface: lo",
                      f"  fabric_iface_port: {self.port + i * (self.targets + 1)}"]
            lines += [f"  {self.engine_extra[i]}"] if self.engine_extra[i] else []
            lines += ["  storage:", f"  - class: {self.kind}", f"    scm_mount: {self.storage[i]}"]
            lines += [f"    {self.extra[i]}"] if self.extra[i] else []
            if self.devices[i]:
                kind, paths, more = self.devices[i]
                lines += [f"  - class: {kind}", f"    bdev_list: [{', '.join(paths)}]", *[f"    {m}" for m in more]]
        path = os.path.join(self.dir, f"{self.name}.yml")
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        return path

    def spawn(self):
        """Start daos_server; do not wait."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.programs["daos_server"], "start", "-o", self.config(), *self.args],
                                            env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        return self

    def start(self):
        begun = read(self.log).count(" ready: ")
        self.spawn()

        def is_ready():
            expect(self.process.poll() is None, f"daos_server ended with {self.process.poll()}: {read(self.log)[-600:]}")
            return read(self.log).count(" ready: ") > begun

        until("daos_server gets ready", is_ready)
        return self

    def said(self, text):
        return text in read(self.log)

    def wait_end(self, seconds=WAIT_S):
        """Wait for daos_server to end by itself; its exit code."""
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"daos_server does not end: {read(self.log)[-600:]}") from None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        rc = self.wait_end()
        expect(rc == 0, f"daos_server ended with {rc}: {read(self.log)[-600:]}")
        return self

    def run(self, name, *args, timeout=WAIT_S * 3):
        argv = [self.programs[name], *args]
        return Done([name, *args], subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=timeout,
                                                  errors="replace", stdin=subprocess.DEVNULL))

    def dmg(self, *args):
        return self.run("dmg", "-G", self.name, *args)

    def daos(self, *args, **kwargs):
        return self.run("daos", "-G", self.name, *args, **kwargs)

    def members(self):
        return {m["rank"]: m for m in self.dmg("-j", "system", "query").response()["members"]}

    def pids(self):
        return {rank: m["pid"] for rank, m in self.members().items()}

    def wait_joined(self):
        return until("all engines have joined", lambda: all(m["state"] == "joined" for m in self.members().values()))

    def pool(self, label="tank", meta="512MiB", data="4GiB"):
        """A pool with a container `cont` for cluster_client."""
        self.dmg("pool", "create", label, f"--scm-size={meta}", f"--nvme-size={data}").ok()
        self.client("create", pool=label).ok()

    def client(self, verb, *args, pool="tank", cont="cont", timeout=WAIT_S * 3):
        return self.run("cluster_client", self.name, pool, cont, verb, *[str(a) for a in args], timeout=timeout)

    def client_start(self, verb, *args, pool="tank", cont="cont"):
        """Without waiting; standard output and error go to the returned file."""
        argv = [self.programs["cluster_client"], self.name, pool, cont, verb, *[str(a) for a in args]]
        path = os.path.join(self.dir, f"client.{len(os.listdir(self.dir))}.out")
        with open(path, "wb") as out:
            return subprocess.Popen(argv, env=self.env, stdout=out, stderr=out, stdin=subprocess.DEVNULL), path

    def attach(self):
        with open(os.path.join(self.sys_dir, "attach.json"), encoding="utf-8") as f:
            return json.load(f)
