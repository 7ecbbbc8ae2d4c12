#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Bad input to a whole system: each gets the API's error code and, from a tool, one line with cause and remedy; what was acknowledged stays.

Goal: the cases that only real processes show; those of one component are tested there. Method: cluster_client keeps the record of what was acknowledged
outside of the system, and every byte of it is read back after the accident.

usage: badinput_test.py BUILD [TEST...]
"""
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../cluster"))
from cluster import (Failure, Programs, Skip, Suite, System, acked, expect, processes_of, read, rss_bytes, until)  # noqa: E402

suite = Suite("badinput")
MIB = 1 << 20


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def refuses(system, *parts):
    """daos_server ends with one error line that says all of this."""
    system.spawn()
    rc = system.wait_end()
    last = read(system.log).strip().splitlines()[-1]
    expect(rc == 1 and last.startswith("daos_server: ERROR: "), f"exit code {rc}: {last!r}")
    for part in parts:
        expect(part in last, f"does not say {part!r}: {last!r}")


@suite.test
def test_unknown_names(s):
    s.daos("pool", "query", "tank").fails("daos: ERROR: ", "daos_server running", "CAIRN_RUNTIME_DIR")
    s.start()
    s.pool()
    s.dmg("pool", "query", "nope").fails("pool 'nope' does not exist", "DER_NONEXIST")
    s.dmg("pool", "destroy", "00000000-0000-4000-8000-000000000001").fails("does not exist")
    s.dmg("pool", "query", "a/b").fails("a/b")
    s.daos("pool", "query", "nope").fails("nope", "DER_NONEXIST", "pool list")
    s.daos("container", "query", "tank", "nope").fails("nope", "DER_NONEXIST", "container list")
    s.daos("container", "create", "nope", "c").fails("pool nope", "DER_NONEXIST")
    s.daos("fs", "copy", "--src", "daos://nope/x/y", "--dst", os.path.join(s.dir, "out")).fails("nope", "DER_NONEXIST")
    expect(not os.path.exists(os.path.join(s.dir, "out")), "nothing was made")
    answer = s.daos("-j", "pool", "query", "nope").json()
    expect(answer["status"] == -1005 and answer["response"] is None, f"{answer}")
    done = s.client("get", 0, 1, 1, pool="nope")
    expect(done.rc == 1 and "daos_pool_connect: DER_NONEXIST" in done.err, done.text())
    done = s.client("get", 0, 1, 1, cont="nope")
    expect(done.rc == 1 and "daos_cont_open: DER_NONEXIST" in done.err, done.text())
    done = s.run("cluster_client", "nosystem", "tank", "cont", "get", "0", "1", "1")
    expect(done.rc == 1 and "daos_pool_connect: DER_" in done.err, done.text())
    s.dmg("pool", "create", "tank", "--scm-size=64M").fails("'tank' exists", "DER_EXIST")
    s.client("put", 0, 10, 100).ok()
    s.stop()


@suite.test
def test_port_in_use(s):
    s.net = "tcp"
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", s.port + 4))  # of the second engine's first target
        taken.listen()
        refuses(s, "engine rank 1 did not start", f"127.0.0.1:{s.port + 4}", "in use", "DER_BUSY")
    s.start()
    s.pool()
    s.client("put", 0, 10, 100).ok()
    s.client("get", 0, 10, 100).ok()
    s.stop()


@suite.test
def test_one_process_a_directory(s):
    """Server and embedded application on one directory, either way round; and two applications."""
    s.start()
    s.pool()
    s.client("put", 0, 20, 1000).ok()
    s.env.update(CAIRN_EMBEDDED=s.storage[0], D_LOG_MASK="ERR")
    done = s.run("cluster_client", "-", "tank", "cont", "get", "0", "1", "1")
    expect(done.rc == 1 and "DER_BUSY" in done.err, done.text())
    done = s.run("dmg", "--embedded", s.storage[0], "pool", "list")
    done.fails(f"{s.storage[0]} is in use by process {s.pids()[0]}", "another directory", "DER_BUSY")
    del s.env["CAIRN_EMBEDDED"]
    s.client("get", 0, 20, 1000).ok()
    s.stop()

    store = os.path.join(s.dir, "store")
    s.env["CAIRN_EMBEDDED"] = store
    s.run("dmg", "--embedded", store, "pool", "create", "tank", "--scm-size=256MiB", "--nvme-size=4GiB").ok()
    s.run("cluster_client", "-", "tank", "cont", "create").ok()
    s.name = "-"
    first, out = s.client_start("put", 0, 1000000, 1000)
    until("the first application works", lambda: acked(out) > 100)
    done = s.client("get", 0, 1, 1000)
    expect(done.rc == 1 and "DER_BUSY" in done.err, done.text())
    same = System(s.programs, s.dir, engines=1, targets=1, name="embedded")
    same.storage[0] = store
    refuses(same, "engine rank 0 did not start", f"{store} is in use by process {first.pid}", "another directory")
    other = System(s.programs, s.dir, engines=1, targets=1, name="other")
    other.storage[0] = store
    expect(first.poll() is None, "the first one goes on")
    first.kill()
    first.wait()
    s.client("get", 0, acked(out), 1000).ok()
    refuses(other, f"{store} belongs to another system 'embedded'")


@suite.test
def test_wrong_owner_or_version(s):
    """Storage of another system, rank, number of targets, or format version is refused by name and not touched."""
    s.start()
    s.pool()
    s.client("put", 0, 20, 10000).ok()
    s.stop()
    other = System(s.programs, s.dir, name="other")
    refuses(other, f"{s.dir}/engine", "belongs to another system", "another directory")  # whichever was first
    swapped = System(s.programs, s.dir)
    swapped.storage = s.storage[::-1]
    refuses(swapped, "belongs to rank", "DER_MISMATCH")
    fewer = System(s.programs, s.dir, targets=1)
    refuses(fewer, "was formatted with 2 targets, not 1", "set targets to 2", "DER_MISMATCH")
    identity = os.path.join(s.storage[0], "identity")
    with open(identity, "rb") as f:
        good = f.read()
    newer = bytearray(good)
    newer[8:12] = struct.pack("<I", struct.unpack("<I", good[8:12])[0] + 1)
    newer[92:96] = struct.pack("<I", crc32c(bytes(newer[:92])))
    for data, says in ((bytes(newer), "version"), (good[:30], "identity"), (b"\0" * 96, "identity"),
                       (good[:20] + bytes([good[20] ^ 1]) + good[21:], "identity")):
        with open(identity, "wb") as f:
            f.write(data)
        refuses(s, "engine rank 0 did not start", identity, says)
        with open(identity, "rb") as f:
            expect(f.read() == data, "nothing was changed in it")
    with open(identity, "wb") as f:
        f.write(good)
    s.start()
    s.client("get", 0, 20, 10000).ok()
    s.stop()


@suite.test
def test_two_installations(s):
    """Two systems of one name: storage and clients of one are strangers to the other."""
    s.start()
    s.pool()
    s.client("put", 0, 20, 1000).ok()
    old = s.attach()
    attach = os.path.join(s.sys_dir, "attach.json")
    shutil.copy(attach, os.path.join(s.dir, "old.json"))
    s.stop()
    new = System(s.programs, s.dir)
    new.log = os.path.join(s.dir, "new.log")
    new.storage = [os.path.join(s.dir, f"new{i}") for i in range(2)]
    new.start()
    expect(new.attach()["uuid"] != old["uuid"], "another installation")
    new.pool()
    new.client("put", 0, 1, 1000).ok()
    os.rename(attach, os.path.join(s.dir, "new.json"))
    shutil.copy(os.path.join(s.dir, "old.json"), attach)
    begun = time.monotonic()
    for command in (("pool", "query", "tank"), ("pool", "list"), ("container", "list", "tank")):
        s.daos(*command).fails("another installation of system test", attach, "daos_server", "CAIRN_RUNTIME_DIR", "DER_MISMATCH")
    expect(s.daos("-j", "pool", "query", "tank").json()["status"] == -1031, "the code, too")
    done = s.client("get", 0, 1, 1000)
    expect(done.rc == 1 and "daos_pool_connect: DER_MISMATCH" in done.err, done.text())
    expect(time.monotonic() - begun < 20, "at once, not when a time is over")
    os.rename(os.path.join(s.dir, "new.json"), attach)
    new.client("get", 0, 1, 1000).ok()

    # A client at work while the other installation takes the place of its own.
    new.stop()
    s.start()
    proc, out = s.client_start("put", 0, 1000000, 1000)
    until("the client works", lambda: acked(out) > 100)
    s.stop()
    new.start()
    expect(proc.wait(timeout=60) == 1, "the client ends")
    expect(read(out).strip().splitlines()[-1].endswith("DER_MISMATCH"), read(out)[-200:])
    new.stop()

    mixed = System(s.programs, s.dir)
    mixed.storage = [s.storage[0], new.storage[1]]
    refuses(mixed, f"{new.storage[1]} belongs to another system of the name 'test'", s.storage[0], "use directories of one system",
            "DER_MISMATCH")
    s.start()
    expect(s.attach()["uuid"] == old["uuid"], "a restart keeps the uuid")
    s.client("get", 0, 20, 1000).ok()
    s.dmg("pool", "destroy", "tank", "--recursive", "--force").ok()
    s.stop()
    shutil.rmtree(s.storage[1])  # a new disk: the engine joins the system of the others
    s.start()
    expect(s.attach()["uuid"] == old["uuid"], "the same system")
    s.pool()
    s.client("put", 0, 20, 1000).ok()
    s.stop().start()
    s.client("get", 0, 20, 1000).ok()
    s.stop()


@suite.test
def test_engine_of_another_installation(s):
    """daos_engine by hand: a foreign or unknown place is refused, and nothing in it is changed."""
    uuid = s.start().attach()["uuid"]
    s.stop()
    identity = os.path.join(s.storage[0], "identity")
    other = "11111111-2222-4333-8444-555555555555"
    args = ["--system", "test", "--rank", "0", "--targets", "2", "--dir", s.storage[0], "--uri", f"unix://{s.dir}"]
    with open(identity, "rb") as f:
        before = f.read()
    done = s.run("daos_engine", *args, "--system-uuid", other)
    done.fails(f"{s.storage[0]} belongs to another system of the name 'test'", uuid, other, "use directories of one system", "(DER_MISMATCH -1031)")
    done = s.run("daos_engine", *args, "--system-uuid", "nonsense")
    expect(done.rc == 2 and "expected a uuid" in done.err, done.text())
    with open(identity, "rb") as f:
        expect(f.read() == before, "nothing was changed")
    os.unlink(identity)
    refuses(s, "engine rank 0 did not start", f"{identity} is missing", "restore it")
    expect(not os.path.exists(identity), "nor made")


def used_ranges(path):
    """Ranges of a sparse file that hold data."""
    ranges = []
    size = os.path.getsize(path)
    with open(path, "rb") as f:
        off = 0
        while off < size:
            try:
                start = os.lseek(f.fileno(), off, os.SEEK_DATA)
            except OSError:
                break
            off = os.lseek(f.fileno(), start, os.SEEK_HOLE)
            ranges.append((start, off))
    return ranges


def nonzero_place(path, rng):
    """A byte that is not zero, away from the file's own zeros."""
    ranges = used_ranges(path)
    expect(ranges, f"{path} is empty")
    with open(path, "rb") as f:
        for _ in range(10000):
            start, end = rng.choice(ranges)
            off = rng.randrange(start, end)
            f.seek(off)
            block = f.read(min(4096, end - off))
            for i, byte in enumerate(block):
                if byte != 0:
                    return off + i
    raise Failure(f"{path} holds zeros only")


FAULTS = ("DER_CSUM", "DER_DF_INVAL", "DER_DF_INCOMPT", "DER_NVME_IO")


def flip_in(path, rng):
    """Flip a bit that is not among the file's own zeros; where."""
    off = nonzero_place(path, rng)
    with open(path, "r+b") as f:
        f.seek(off)
        byte = f.read(1)[0] ^ (1 << rng.randrange(8))
        f.seek(off)
        f.write(bytes([byte]))
    return off


def bad_targets(s):
    """What the administrator sees of rank 0: (target, code) of those out of service, the same in both forms, each with what and where and what to do."""
    bad = s.members()[0]["bad_targets"]
    lines = [line for line in s.dmg("system", "query").ok().out.splitlines() if ": out of service: " in line]
    expect(len(lines) == len(bad), f"{lines} and {bad}")
    for line, b in zip(lines, bad):
        expect(line.startswith(f"rank 0, target {b['target']}: out of service: ") and b["error"] in line and b["code"] in line, f"{line!r}: {b}")
        expect(f"{s.storage[0]}/tgt{b['target']}" in line and "start again" in line, f"where and what to do: {line!r}")
        expect(b["code"] in FAULTS and b["status"] < 0, f"{b}")
    return [(b["target"], b["code"]) for b in bad]


def read_beside_damage(s, where):
    """Every value is right, or told to be damaged; at once. Returns (codes, how many are right)."""
    begun = time.monotonic()
    a, b = s.client("get", 0, 40, 20000), s.client("get", 40, 200, 100)
    lines = (a.out + b.out).splitlines()
    expect(time.monotonic() - begun < 30, f"{where}: the answers took {time.monotonic() - begun:.0f} s")
    expect((a.rc == 0 and b.rc == 0) == (not lines), f"{where}: {a.text()} {b.text()}")
    for line in lines:
        expect(line.startswith("bad ") and line.split()[-1] in FAULTS, f"{where}: {line}")
    return {line.split()[-1] for line in lines}, 240 - len(lines)


@suite.test
def test_flipped_bits(s):
    """One flipped bit in any file of a target: it costs nothing, or values that answer CSUM, or that target alone; never the engine, never other data."""
    rng = random.Random(20240611)
    s.engines, s.targets = 1, 2
    s.start()
    s.pool(meta="128MiB", data="1GiB")
    s.client("put", 0, 40, 20000).ok()
    s.stop().start()  # all of it in pages
    s.client("put", 40, 200, 100).ok()
    s.process.kill()  # and these in the log
    s.wait_end()
    until("the engine ends", lambda: not processes_of(s.dir))
    os.unlink(s.log)
    outcomes = {}
    for name in ("target", "wal", "meta", "data") * 3:
        victim = rng.randrange(2)
        path = os.path.join(s.storage[0], f"tgt{victim}", name)
        saved = os.path.join(s.dir, "saved")
        subprocess.run(["cp", "-a", "--sparse=always", s.storage[0], saved], check=True)
        where = f"{name} of target {victim} at {flip_in(path, rng)}"
        s.start()
        bad = bad_targets(s)
        codes, right_nr = read_beside_damage(s, where)
        expect(right_nr > 40, f"{where}: the neighbour has only {right_nr} values")
        if bad:
            expect(codes == {bad[0][1]} and bad[0][0] == victim and len(bad) == 1, f"{where}: {bad}, clients got {codes}")
            expect(read(os.path.join(s.sys_dir, "engine0.log")).count(f"target {victim} is out of service") == 1, f"{where}: one line in the log")
            s.dmg("pool", "create", "other", "--scm-size=64MiB").fails("out of service", "dmg system query", bad[0][1])
        stored = [s.client("put", k, 1, 100).rc == 0 for k in range(240, 256)]
        expect(any(stored) and (all(stored) or bad), f"{where}: {stored}")
        outcomes.setdefault(name, []).append(f"target: {bad[0][1]}" if bad else "values: CSUM" if codes else "right")
        s.stop()
        os.unlink(s.log)
        shutil.rmtree(s.storage[0])
        os.rename(saved, s.storage[0])
    expect(all("target: " in o for o in outcomes["target"]), f"superblocks: {outcomes}")
    expect(any("target: " in o for o in outcomes["wal"] + outcomes["meta"]), f"{outcomes}")
    s.start()
    expect(bad_targets(s) == [] and read_beside_damage(s, "undamaged") == (set(), 240), "the copy is whole")
    s.stop()
    print(f"    {outcomes}", file=sys.stderr)


@suite.test
def test_damaged_services(s):
    """The store of rank 0's services is damaged: who needs them is told the cause at once; its targets, and everything else, are there."""
    rng = random.Random(5)
    s.start()
    s.pool()
    s.client("put", 0, 20, 1000).ok()
    s.stop()
    path = os.path.join(s.storage[0], "sys", "target")
    saved = open(path, "rb").read()
    flip_in(path, rng)
    s.start()
    begun = time.monotonic()
    for done in (s.dmg("pool", "list"), s.dmg("pool", "create", "other", "--scm-size=64MiB")):
        done.fails("out of service", f"{s.storage[0]}/sys", "DER_CSUM")
    done = s.client("get", 0, 20, 1000)
    expect(done.rc == 1 and "daos_pool_connect: DER_CSUM" in done.err, done.text())
    expect(time.monotonic() - begun < 30, f"the answers took {time.monotonic() - begun:.0f} s")
    members = s.members()
    expect("services out of service" in members[0]["info"] and f"{s.storage[0]}/sys" in members[0]["info"], f"{members[0]}")
    expect(all(m["state"] == "joined" and m["bad_targets"] == [] for m in members.values()), f"{members}")
    s.stop()
    with open(path, "wb") as f:
        f.write(saved)
    s.start()
    s.client("get", 0, 20, 1000).ok()
    s.stop()


def pool_full(s, bytes_each, pool_bytes):
    """Put until it is full; check all; make room; put again. What works when nothing is left: read, remove, destroy."""
    proc, out = s.client_start("put", 0, 100000, bytes_each)
    expect(proc.wait(timeout=120) == 1, "the disk gets full")
    nr = acked(out)
    last = read(out).strip().splitlines()[-1]
    expect(last == f"err {nr} DER_NOSPACE", f"not NOSPACE: {last}")
    expect(nr * bytes_each >= pool_bytes / 2, f"only {nr} values of {bytes_each} bytes fit")
    s.client("get", 0, nr, bytes_each).ok()
    return nr


@suite.test
def test_full_pool(s):
    s.start()
    s.pool(meta="64MiB", data="64MiB")
    nr = pool_full(s, MIB, 128 * MIB)
    s.client("remove", 0, nr // 2).ok()
    s.client("get", nr // 2, nr - nr // 2, MIB).ok()
    os.kill(s.pids()[0], signal.SIGKILL)  # a start, too, works without space
    s.wait_joined()
    s.client("get", nr // 2, nr - nr // 2, MIB).ok()
    s.dmg("pool", "destroy", "tank").fails("tank")
    s.dmg("pool", "destroy", "tank", "--recursive", "--force").ok()
    s.pool(meta="64MiB", data="64MiB")  # all of it is there again
    expect(pool_full(s, MIB, 128 * MIB) >= nr - 2, "as much as the first time")
    s.stop()


@suite.test
def test_full_file_system(s):
    """The file system below the storage gets full, by somebody else even."""
    mount = os.path.join(s.dir, "small")
    os.makedirs(mount)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "none", mount], capture_output=True).returncode != 0:
        raise Skip("mounting a small tmpfs is not permitted here")
    try:
        s.engines = s.targets = 1
        s.storage = [os.path.join(mount, "e")]
        s.start()
        s.pool(meta="64MiB", data="1GiB")
        nr = pool_full(s, MIB, 100 * MIB)
        expect(s.members()[0]["state"] == "joined", "the engine is there")
        s.client("remove", 0, 5).ok()
        pid = s.pids()[0]
        os.kill(pid, signal.SIGKILL)
        until("a new engine", lambda: s.pids()[0] not in (0, pid))
        s.wait_joined()
        s.client("get", 5, nr - 5, MIB).ok()
        s.dmg("pool", "destroy", "tank", "--recursive", "--force").ok()
        s.pool(meta="64MiB", data="1GiB")
        s.client("put", 0, 5, MIB).ok()
        s.client("get", 0, 5, MIB).ok()
        s.stop()
    finally:
        for pid in processes_of(s.dir):
            os.kill(pid, signal.SIGKILL)
        until("the file system is idle", lambda: subprocess.run(["umount", mount], capture_output=True).returncode == 0)


def refuses_device(system, path, *parts):
    """As refuses(), and the device is as it was."""
    with open(path, "rb") as f:
        before = f.read(1 << 20)
    refuses(system, path, *parts)
    with open(path, "rb") as f:
        expect(f.read(1 << 20) == before, f"{path} was changed")


def costs_its_target(s, path, *parts):
    """The system starts; target 1 of rank 0 alone is out of service, which is told with these parts; its device is as it was."""
    before = None
    if os.path.exists(path):
        with open(path, "rb") as f:
            before = f.read(1 << 20)
    s.start()
    expect([t for t, _ in bad_targets(s)] == [1], f"{bad_targets(s)}")
    text = s.members()[0]["bad_targets"][0]["error"]
    expect(all(part in text for part in (path, *parts)), f"{path}, {parts}: {text}")
    s.stop()
    expect(before is not None or not os.path.exists(path), f"{path} was made")
    if before is not None:
        with open(path, "rb") as f:
            expect(f.read(1 << 20) == before, f"{path} was changed")


def blank_file(path, size=1000000000):
    with open(path, "wb") as f:
        f.truncate(size)
    return path


def with_mkfs(s, path):
    """An ext4 file system, or its mark where there is no mkfs."""
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", path], check=True, capture_output=True, env=dict(os.environ, PATH="/usr/sbin:/sbin:/bin"))
    except (OSError, subprocess.CalledProcessError):
        with open(path, "r+b") as f:
            f.seek(1080)
            f.write(b"\x53\xef")
    return path


def other_of(s, name, devices):
    """Another system beside s, in a directory of its own, on these devices."""
    other = System(s.programs, s.dir, engines=1, name=name)
    other.storage = [os.path.join(s.dir, f"{name}0")]
    other.devices = [devices]
    return other


@suite.test
def test_devices(s):
    """Two engines with two targets each share devices (files that stand for such). What is another's is refused by name and not touched."""
    size = ["bdev_size: 1"]
    paths = [os.path.join(s.dir, f"dev{i}") for i in range(4)]
    s.devices = [("file", paths[0:2], size), ("file", [paths[2]], ["bdev_size: 1", "bdev_roles: [data]"])]
    s.start()
    s.pool(meta="64MiB", data="256MiB")
    s.client("put", 0, 30, 20000).ok()
    expect(not os.path.exists(os.path.join(s.storage[0], "tgt0", "wal")), "no file where the role is on a device")
    expect(os.path.exists(os.path.join(s.storage[1], "tgt0", "wal")), "a file where it is not")
    os.kill(s.pids()[0], signal.SIGKILL)
    s.wait_joined()
    s.client("put", 30, 30, 20000).ok()
    busy = other_of(s, "busy", ("file", [paths[0]], size))
    refuses(busy, paths[0], "in use by another process")
    s.process.kill()
    s.wait_end()
    until("the engines end", lambda: not processes_of(s.storage[0] + " ") and not processes_of(s.storage[1] + " "))
    s.start()
    s.client("get", 0, 60, 20000).ok()
    s.stop()

    foreign = other_of(s, "other", ("file", [paths[0]], size))
    refuses_device(foreign, paths[0], "belongs to another system", "another device")
    good = s.devices
    s.devices = [("file", paths[1::-1], size), good[1]]
    refuses(s, "was laid out for other targets or roles", "bdev_list")
    s.devices = [good[1], good[0]]
    refuses(s, "belongs to rank")
    s.devices = [("file", [paths[0], paths[1]], size + ["bdev_roles: [wal, data]"]), good[1]]
    refuses(s, "was laid out for other targets or roles")
    s.devices = good
    os.rename(paths[1], paths[1] + ".away")
    costs_its_target(s, paths[1], "does not exist")
    blank_file(paths[1])
    costs_its_target(s, paths[1], "is blank", "put the device back")
    os.rename(paths[1] + ".away", paths[1])
    with open(paths[1], "r+b") as f:
        f.truncate(900000000)
    costs_its_target(s, paths[1], "became smaller")
    with open(paths[1], "r+b") as f:
        f.truncate(1000000000)
        f.seek(60)
        byte = f.read(1)[0]
        f.seek(60)
        f.write(bytes([byte ^ 4]))
    costs_its_target(s, paths[1], "label (offset 0) is damaged")
    with open(paths[1], "r+b") as f:
        f.seek(60)
        f.write(bytes([byte]))
    s.start()
    s.client("get", 0, 60, 20000).ok()
    s.stop()

    image = with_mkfs(s, blank_file(paths[3]))
    new = other_of(s, "new", ("file", [image], size))
    refuses_device(new, image, "ext4 file system", "is left as it is", "--force-format")
    new.args = ["--force-format"]
    new.start().stop()
    new.start().stop()  # and once more is no new format: the engine's directory would miss it
    new.args = []
    new.start().stop()
    refuses_device(other_of(s, "fresh", ("file", [image], size)), image, "belongs to another system")
    small = other_of(s, "small", ("file", [blank_file(os.path.join(s.dir, "small"), 100 << 20)], size))
    refuses_device(small, os.path.join(s.dir, "small"), "too few for what shall lie on it")


@suite.test
def test_ram_without_tmpfs(s):
    """Class ram on a disk is refused, in a line that says what to do; on a tmpfs it starts."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", s.dir], capture_output=True, text=True).stdout.strip()
    s.engines, s.targets, s.kind = 1, 1, "ram"
    if kind not in ("tmpfs", "ramfs"):
        refuses(s, f"{s.storage[0]} is not on a tmpfs", "mount -t tmpfs", "class file")
        expect(not os.path.exists(s.storage[0]), "nothing was made there")
        s.env["CAIRN_RAM_ANYWHERE"] = "1"
        s.start().stop()
        shutil.rmtree(s.storage[0])
        del s.env["CAIRN_RAM_ANYWHERE"]
    folder = tempfile.mkdtemp(prefix="cairn-ram-", dir="/dev/shm")
    try:
        s.storage = [os.path.join(folder, "a", "b")]
        s.start().stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@suite.test
def test_block_devices(s):
    """A loop device: formatted when blank, refused with a file system on it, mounted or not; killed and started again."""
    s.engines, s.targets = 1, 2
    image = blank_file(os.path.join(s.dir, "image"), 2 << 30)
    mount = os.path.join(s.dir, "mnt")
    os.makedirs(mount)
    with_mkfs(s, image)
    made = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True)
    if made.returncode != 0:
        raise Skip("loop devices may not be made here: " + made.stderr.strip())
    dev = made.stdout.strip()
    try:
        subprocess.run(["losetup", "--direct-io=on", dev], capture_output=True)
        s.devices = [("kdev", [dev], [])]
        refuses_device(s, dev, "ext4 file system", "left as it is")
        if subprocess.run(["mount", dev, mount], capture_output=True).returncode == 0:
            refuses(s, dev, "is mounted, or in use")
            s.args = ["--force-format"]
            refuses(s, dev, "is mounted, or in use")
            until("it is unmounted", lambda: subprocess.run(["umount", mount], capture_output=True).returncode == 0)
        s.args = ["--force-format"]
        s.start()
        s.pool(meta="64MiB", data="256MiB")
        s.client("put", 0, 40, 20000).ok()
        os.kill(s.pids()[0], signal.SIGKILL)
        s.wait_joined()
        s.client("get", 0, 40, 20000).ok()
        s.stop()
        s.args = []
        s.start()
        s.client("get", 0, 40, 20000).ok()
        s.stop()
        absent = other_of(s, "absent", ("kdev", ["/dev/nothing-like-this"], []))
        refuses(absent, "/dev/nothing-like-this", "does not exist")
        expect(not os.path.exists("/dev/nothing-like-this"), "nothing was made in /dev")
    finally:
        if s.process and s.process.poll() is None:
            s.process.kill()
            s.wait_end()
            until("the engine ends", lambda: not processes_of(s.dir))
        until("the loop device is free", lambda: subprocess.run(["losetup", "-d", dev], capture_output=True).returncode == 0)


@suite.test
def test_client_killed(s):
    """A client that dies in the middle of bulk transfers: the engines go on, keep nothing of it, serve the next."""
    rng = random.Random(3)
    s.start()
    s.pool()
    s.client("put", 0, 4, 16 * MIB).ok()
    sizes = []
    for i in range(12):
        procs = [s.client_start("put", 0, 1000, 16 * MIB) for _ in range(2)]
        procs.append(s.client_start("get", 0, 4, 16 * MIB))
        nr = rng.randrange(1, 4)
        until("transfers are on their way", lambda: acked(procs[0][1]) >= nr)
        for proc, _ in procs:
            proc.kill()
            proc.wait()
        if i in (3, 11):
            sizes.append([rss_bytes(pid) for pid in s.pids().values()])
    expect(all(b < a + 64 * MIB for a, b in zip(*sizes)), f"memory of the engines grows: {sizes}")
    s.client("put", 100, 10, 4 * MIB).ok()
    s.client("get", 100, 10, 4 * MIB).ok()
    s.client("get", 0, 4, 16 * MIB).ok()
    expect("engine rank" not in read(s.log).split(" ready: ", 1)[1], "no engine ended")
    s.stop()


def garbage(rng):
    """Byte strings that are not for us, from silly to nearly right."""
    def frame(head_len, payload_len, body):
        hdr = struct.pack("<III", 0x314d4e43, head_len, payload_len)
        return hdr + struct.pack("<I", crc32c(hdr)) + body
    yield b""
    yield b"\0"
    yield b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"\xff" * 100000
    yield b"CNM1"
    yield bytes(rng.randrange(256) for _ in range(5000))
    yield frame(1, 0, b"x")
    yield frame(200, 0, b"CPRC" + bytes(rng.randrange(256) for _ in range(196)))
    yield frame(32768, 1 << 20, b"y" * 100)
    yield frame(0xffffffff, 0xffffffff, b"z" * 100)
    yield frame(64, 0, b"\x08\x01\x10\x01\x18\x05" + bytes(rng.randrange(256) for _ in range(58)))
    for _ in range(40):
        n = rng.randrange(1, 400)
        yield frame(n, 0, bytes(rng.randrange(256) for _ in range(n)))


@suite.test
def test_garbage_to_sockets_unix(s):
    garbage_to_all(s)


@suite.test
def test_garbage_to_sockets_tcp(s):
    s.net = "tcp"
    garbage_to_all(s)


def garbage_to_all(s):
    rng = random.Random(5)
    s.start()
    s.pool()
    s.client("put", 0, 50, 3000).ok()
    before = s.pids()
    places = [os.path.join(s.sys_dir, n) for n in os.listdir(s.sys_dir)
              if os.path.exists(os.path.join(s.sys_dir, n)) and (os.stat(os.path.join(s.sys_dir, n)).st_mode & 0o170000) == 0o140000]
    expect(len(places) >= (3 if s.net == "tcp" else 9), f"sockets {places}")
    if s.net == "tcp":
        places += [("127.0.0.1", s.port + i) for i in range(6)]
    held = []
    proc, out = s.client_start("put", 0, 100000, 3000)
    for place in places:
        for data in garbage(rng):
            c = socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET)
            c.connect(place)
            c.settimeout(10)
            try:
                c.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass
            if rng.randrange(4) == 0:
                held.append(c)
            else:
                c.close()
    expect(proc.poll() is None, f"the client beside it goes on: {read(out)[-200:]}")
    proc.kill()
    proc.wait()
    s.client("get", 0, max(50, acked(out)), 3000).ok()
    for c in held:
        c.close()
    expect(s.pids() == before, "no engine ended")
    expect(all(rss_bytes(pid) < 300 * MIB for pid in before.values()), "nor grew")
    s.stop()


@suite.test
def test_engine_killed_again_and_again(s):
    rng = random.Random(7)
    s.start()
    s.pool()
    proc, out = s.client_start("put", 0, 1000000, 5000)
    for _ in range(8):
        had = acked(out)
        until("the client gets on", lambda: proc.poll() is not None or acked(out) >= had + rng.randrange(5, 30))
        expect(proc.poll() is None, f"the client goes on: {read(out)[-200:]}")
        rank = rng.randrange(2)
        pid = s.pids()[rank]
        if pid != 0:
            os.kill(pid, signal.SIGKILL)
            until("a new engine", lambda: s.pids()[rank] not in (0, pid))
    s.wait_joined()
    had = acked(out)
    until("the client gets on", lambda: acked(out) > had + 20)
    proc.kill()
    proc.wait()
    s.client("get", 0, acked(out), 5000).ok()
    s.stop()
    s.start()
    s.client("get", 0, acked(out), 5000).ok()
    s.stop()


@suite.test
def test_server_killed(s):
    """kill -9 of daos_server takes the engines with it; the next one finds all; a client that was at work goes on."""
    s.start()
    s.pool()
    proc, out = s.client_start("put", 0, 1000000, 5000)
    for _ in range(3):
        had = acked(out)
        until("the client gets on", lambda: acked(out) > had + 30)
        pids = s.pids()
        s.process.kill()
        s.process.wait()
        until("the engines end", lambda: not set(pids.values()) & set(processes_of(s.dir)))
        s.start()
        expect(proc.poll() is None, f"the client goes on: {read(out)[-200:]}")
    had = acked(out)
    until("the client gets on", lambda: acked(out) > had + 30)
    proc.kill()
    proc.wait()
    s.client("get", 0, acked(out), 5000).ok()
    s.stop()


def main():
    programs = Programs(sys.argv[1])
    env = {"CAIRN_MODULE_DIR": os.path.dirname(programs["libcairn_engine.so"])}
    return suite.run(lambda folder: System(programs, folder, env=env), sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
