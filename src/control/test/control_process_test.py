#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""daos_server and dmg as processes, over control_fake_engine, which misbehaves as asked.

Goal: every way in which an engine can fail to start, or end, is seen, told in one line, and repaired when it worked before; the group and the attach file
follow; a stop always ends; one server for a system. Method: the fake engine reads its behaviour from a file and writes down what it was told.

usage: control_process_test.py DAOS_SERVER DMG FAKE_ENGINE [TEST...]
"""
import json
import os
import shutil
import signal
import socket
import stat
import sys
import time
from uuid import UUID as uuid_of

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../test/cluster"))
from cluster import Programs, Suite, System, expect, processes_of, read, until  # noqa: E402

suite = Suite("control_process")


def mode(system, rank, text):
    os.makedirs(system.storage[rank], exist_ok=True)
    with open(os.path.join(system.storage[rank], "mode"), "w", encoding="utf-8") as f:
        f.write(text)


def lines(system, rank, name):
    return read(os.path.join(system.storage[rank], name)).splitlines()


def identity(system, rank):
    """The system's uuid as the identity file has it (docs/format/identity.md)."""
    with open(os.path.join(system.storage[rank], "identity"), "rb") as f:
        return str(uuid_of(bytes=f.read()[32:48]))


def groups(system, rank):
    """What an engine was told: (version, {rank: (state, incarnation, number of URIs)})."""
    told = []
    for line in lines(system, rank, "groups"):
        words = line.split()
        told.append((int(words[0].split("=")[1]),
                     {int(r): (int(s), int(i), int(u)) for r, s, i, u in (w.split(":") for w in words[3:])}))
    return told


def fails_to_start(system, *parts):
    system.spawn()
    rc = system.wait_end()
    text = read(system.log)
    expect(rc == 1, f"exit code {rc}")
    last = text.strip().splitlines()[-1]
    expect(last.startswith("daos_server: ERROR: "), f"no error line: {text!r}")
    for part in parts:
        expect(part in last, f"does not say {part!r}: {last!r}")
    expect(not os.path.exists(os.path.join(system.sys_dir, "attach.json")), "an attach file was left")


@suite.test
def test_start_and_stop(s):
    s.start()
    at = s.attach()
    expect((at["version"], at["system"], at["leader"], len(at["ranks"])) == (1, "test", 0, 2), f"attach file {at}")
    ids = {identity(s, i) for i in range(2)}
    expect(ids == {at["uuid"]} and at["uuid"][14] == "4", f"one random uuid for all: {ids}, {at['uuid']}")
    for i, rank in enumerate(at["ranks"]):
        expect(rank["rank"] == i and rank["incarnation"] > 0, f"rank {rank}")
        expect(rank["uris"] == [f"unix://{s.sys_dir}/{i}.{t}" for t in range(3)], f"URIs {rank['uris']}")
    mode_bits = stat.S_IMODE(os.stat(os.path.join(s.sys_dir, "attach.json")).st_mode)
    expect(mode_bits == 0o600 and stat.S_IMODE(os.stat(s.sys_dir).st_mode) == 0o700, "private to the user")
    for i in range(2):
        version, ranks = groups(s, i)[-1]
        expect(version > 0 and {r: v[0] for r, v in ranks.items()} == {0: 1, 1: 1}, f"both have joined: {ranks}")
        expect(all(v[2] == 3 for v in ranks.values()), "with all URIs")
    members = s.members()
    expect([m["state"] for m in members.values()] == ["joined", "joined"], f"members {members}")
    expect(set(members[0]) == {"state", "rank", "incarnation", "pid", "targets", "fabric_uri", "info", "rc", "bad_targets"}, f"fields {members[0]}")
    text = s.dmg("system", "query").ok().out
    expect(text.count("\n") == 2 and f"rank 1: joined, 2 targets, pid {members[1]['pid']}" in text, text)
    s.stop()
    left = sorted(os.listdir(s.sys_dir))
    expect(left == ["daos_server.lock", "engine0.log", "engine1.log"], f"left behind: {left}")
    s.start()  # again, on what the first run left
    expect(s.attach()["uuid"] == at["uuid"], "the same system")
    s.stop()


@suite.test
def test_installation(s):
    """The uuid is of the installation: a new directory joins, two that disagree are refused, another installation of the name is another system."""
    s.start()
    uuid = s.attach()["uuid"]
    s.stop()
    shutil.rmtree(s.storage[0])
    s.start()
    expect(s.attach()["uuid"] == uuid == identity(s, 0), "the engine with new storage joined the others")
    s.stop()
    other = System(s.programs, s.dir, env={"CAIRN_ENGINE": s.env["CAIRN_ENGINE"]})
    other.log = os.path.join(s.dir, "other.log")
    other.storage = [os.path.join(s.dir, f"other{i}") for i in range(2)]
    other.start()
    theirs = other.attach()["uuid"]
    expect(theirs != uuid, "another installation of the same name")
    other.stop()
    other.storage[1] = s.storage[1]
    fails_to_start(other, f"{s.storage[1]} belongs to another system of the name 'test' (uuid {uuid})", f"{other.storage[0]} of rank 0",
                   theirs, "use directories of one system", "DER_MISMATCH")
    expect(identity(s, 1) == uuid, "and is not touched")
    path = os.path.join(s.storage[0], "identity")
    good = open(path, "rb").read()
    with open(path, "wb") as f:
        f.write(good[:40] + b"x" + good[41:])
    fails_to_start(s, "engine rank 0 did not start", path, "restore it", "DER_DF_INVAL")
    with open(path, "wb") as f:
        f.write(good)
    s.start().stop()


@suite.test
def test_engine_dies(s):
    """A death is told to the others, the engine comes back, all learn its new incarnation."""
    s.start()
    before = s.members()
    told = len(groups(s, 0))
    os.kill(before[1]["pid"], signal.SIGKILL)
    until("a new engine", lambda: s.pids()[1] not in (0, before[1]["pid"]))
    s.wait_joined()
    after = s.members()
    expect(after[1]["incarnation"] > before[1]["incarnation"], "a new incarnation")
    expect(after[0]["pid"] == before[0]["pid"], "the other one lives on")
    want = after[1]["incarnation"]
    until("the attach file follows", lambda: s.attach()["ranks"][1]["incarnation"] == want)
    heard = groups(s, 0)[told:]
    expect(any(g[1][1][0] == 2 for g in heard), f"rank 0 heard of the death: {heard}")
    expect(heard[-1][1][1][:2] == (1, want), f"rank 0 heard of the return: {heard}")
    versions = [g[0] for g in groups(s, 0)]
    expect(versions == sorted(set(versions)), f"versions grow: {versions}")
    expect(s.said(f"engine rank 1 (pid {before[1]['pid']}) ended by signal 9"), "the death stands in the log")
    s.stop()


@suite.test
def test_engine_dies_again_and_again(s):
    """Quick deaths are answered with growing pauses, and a stop does not wait for them."""
    s.start()
    mode(s, 1, "always short")
    os.kill(s.pids()[1], signal.SIGKILL)
    until("five lives", lambda: len(lines(s, 1, "starts")) >= 6)
    until("a pause of which dmg knows the cause", lambda: s.members()[1]["state"] == "stopped" and "exit code 0" in s.members()[1]["info"])
    expect(s.members()[0]["state"] == "joined", "the other engine is not concerned")
    expect(len(set(lines(s, 0, "starts"))) == 1, "nor started again")
    os.unlink(os.path.join(s.storage[1], "mode"))
    s.wait_joined()
    s.stop()


@suite.test
def test_restart_fails(s):
    """An engine that worked and does not start again is tried again; dmg says why it is not there."""
    s.start()
    mode(s, 0, "always die the disk is gone: replace it")
    os.kill(s.pids()[0], signal.SIGKILL)
    until("the cause is shown", lambda: s.members()[0]["info"] == "the disk is gone: replace it")
    expect("the disk is gone: replace it (DER_SHUTDOWN -2017)" in s.dmg("system", "query").ok().out, "in the text, too")
    os.unlink(os.path.join(s.storage[0], "mode"))
    s.wait_joined()
    expect((s.members()[0]["info"], s.members()[0]["rc"]) == ("", 0), "and is forgotten when it is back")
    mode(s, 0, "always fail -1007 no space: make some")
    os.kill(s.pids()[0], signal.SIGKILL)
    until("code and line are shown", lambda: (s.members()[0]["rc"], s.members()[0]["info"]) == (-1007, "no space: make some"))
    begun = len(lines(s, 0, "starts"))
    until("it is tried again: somebody may make space", lambda: len(lines(s, 0, "starts")) > begun)
    os.unlink(os.path.join(s.storage[0], "mode"))
    s.wait_joined()
    s.stop()


@suite.test
def test_restart_is_hopeless(s):
    """An engine that cannot start for a cause that another start does not mend is not started again and again; the cause is what everybody hears."""
    for code, name in ((-1003, "DER_INVAL"), (-1031, "DER_MISMATCH"), (-2022, "DER_DF_INVAL"), (-2023, "DER_DF_INCOMPT")):
        s.start()
        told = len(groups(s, 1))
        begun = len(lines(s, 0, "starts"))
        mode(s, 0, f"always fail {code} it is not yours: mend it")
        os.kill(s.pids()[0], signal.SIGKILL)
        until("it is given up", lambda: s.members()[0]["state"] == "errored")
        expect((s.members()[0]["rc"], s.members()[0]["info"]) == (code, "it is not yours: mend it"), f"{s.members()[0]}")
        until("the other is told", lambda: any(g[1][0][0] == 5 for g in groups(s, 1)[told:]))
        s.dmg("pool", "list").fails("engine rank 0 does not start: it is not yours: mend it", f"({name} {code})")
        expect(s.dmg("-j", "pool", "list").json()["status"] == code, "at once, with the code")
        expect(f"rank 0: errored, 2 targets, pid 0: it is not yours: mend it ({name} {code})" in s.dmg("system", "query").ok().out, "as text")
        expect(s.members()[1]["state"] == "joined", "the other goes on")
        expect(len(lines(s, 0, "starts")) == begun + 1, "one try")
        s.stop()
        os.unlink(os.path.join(s.storage[0], "mode"))


@suite.test
def test_first_start_fails(s):
    mode(s, 1, "die WAL damaged: restore a copy")
    fails_to_start(s, "engine rank 1 did not start: WAL damaged: restore a copy")
    expect(len(lines(s, 1, "starts")) == 1, "it is not tried again")
    for text, says in (("fail -1020 no way: build one", "engine rank 1 did not start: no way: build one (DER_HG -1020)"),
                       ("fail 17 x", "(DER_SHUTDOWN"), ("fail -99999 x", "(DER_SHUTDOWN"), ("fail nonsense", "not this line (DER_SHUTDOWN"),
                       ("fail -1003", "(DER_SHUTDOWN")):
        mode(s, 1, text)
        fails_to_start(s, says)
    mode(s, 1, "abort")
    fails_to_start(s, "engine rank 1 did not start: ended by signal 6", "engine1.log")
    s.start().stop()


@suite.test
def test_engine_missing(s):
    s.env["CAIRN_ENGINE"] = os.path.join(s.dir, "nowhere", "daos_engine")
    fails_to_start(s, "no program", "nowhere/daos_engine", "install")
    del s.env["CAIRN_ENGINE"]
    alone = os.path.join(s.dir, "alone")
    os.makedirs(alone)
    shutil.copy(s.programs["daos_server"], alone)
    s.programs = Programs(daos_server=os.path.join(alone, "daos_server"))
    fails_to_start(s, f"no program {alone}/daos_engine")
    not_one = os.path.join(s.dir, "not_one")
    with open(not_one, "w", encoding="utf-8") as f:
        f.write("no program at all\n")
    os.chmod(not_one, 0o755)
    s.env["CAIRN_ENGINE"] = not_one
    fails_to_start(s, "engine rank", f"{not_one} cannot be run")


@suite.test
def test_log_file(s):
    s.engine_extra[0] = f"log_file: {s.dir}/zero.log"
    s.start().stop()
    expect("fake starts" in read(f"{s.dir}/zero.log"), "lines go there")
    expect("fake starts" in read(f"{s.sys_dir}/engine1.log"), "and by default to the runtime directory")
    s.engine_extra[0] = f"log_file: {s.dir}/no/such/zero.log"
    fails_to_start(s, "engine rank 0", f"log_file {s.dir}/no/such/zero.log", "No such file")


@suite.test
def test_runtime_dir(s):
    path = os.path.join(s.dir, "file")
    with open(path, "w", encoding="utf-8") as f:
        f.write("x")
    s.run_dir = path
    fails_to_start(s, "runtime directory", path, "CAIRN_RUNTIME_DIR")
    s.run_dir = "/proc/cairn"
    fails_to_start(s, "runtime directory", "/proc/cairn", "CAIRN_RUNTIME_DIR")
    s.run_dir = os.path.join(s.dir, "a" * 70)
    fails_to_start(s, "too long for sockets", "at most 64")


@suite.test
def test_config(s):
    done = s.run("daos_server", "start", "-o", os.path.join(s.dir, "none.yml"))
    done.fails("none.yml: No such file or directory")
    with open(os.path.join(s.dir, "bad.yml"), "w", encoding="utf-8") as f:
        f.write("name: x\nengines:\n- tragets: 1\n")
    s.run("daos_server", "start", "-o", os.path.join(s.dir, "bad.yml")).fails("bad.yml:3: tragets: no such key")
    done = s.run("daos_server")
    expect(done.rc == 1 and "usage: daos_server start -o FILE" in done.err, done.text())
    expect("usage:" in s.run("daos_server", "--help").ok().out, "help")
    s.run("daos_server", "version").ok()


@suite.test
def test_twice(s):
    """A second server of the same system says so; another system beside it is fine; the same storage is not."""
    s.start()
    second = System(s.programs, s.dir, env={"CAIRN_ENGINE": s.env["CAIRN_ENGINE"]})
    second.log = os.path.join(s.dir, "second.log")
    second.spawn()
    expect(second.wait_end() == 1, "refused")
    expect("a daos_server of system test runs already" in read(second.log), read(second.log))
    expect(s.attach()["ranks"], "the first one's attach file is as it was")
    other = System(s.programs, s.dir, name="other", env={"CAIRN_ENGINE": s.env["CAIRN_ENGINE"]})
    fails_to_start(other, "engine rank 0 did not start", "belongs to another system 'test'", "another directory", "DER_MISMATCH")
    third = System(s.programs, s.dir, env={"CAIRN_ENGINE": s.env["CAIRN_ENGINE"]})
    third.set_run_dir(os.path.join(s.dir, "run3"))
    third.log = os.path.join(s.dir, "third.log")
    fails_to_start(third, "engine rank", "is in use by process 4711")
    other.storage = [os.path.join(s.dir, f"other{i}") for i in range(2)]
    other.start()
    expect(s.pids() != other.pids(), "two systems on one host")
    other.stop()
    s.stop()


@suite.test
def test_twice_at_once(s):
    """Started in the same moment, one wins, whole."""
    second = System(s.programs, s.dir, env={"CAIRN_ENGINE": s.env["CAIRN_ENGINE"]})
    second.log = os.path.join(s.dir, "second.log")
    s.spawn()
    second.spawn()
    loser = until("one gives up", lambda: next((x for x in (s, second) if x.process.poll() is not None), None))
    winner = second if loser is s else s
    expect(loser.process.returncode == 1 and loser.said("runs already"), read(loser.log))
    until("the other is ready", lambda: winner.said(" ready: "))
    winner.wait_joined()
    winner.stop()


@suite.test
def test_server_killed(s):
    """Engines end with a server that is killed, and the next one takes over what it left."""
    s.start()
    before = s.pids()
    s.process.kill()
    s.process.wait()
    expect(os.path.exists(os.path.join(s.sys_dir, "daos_server.sock")), "the dead one left its socket")
    s.start()
    expect(not set(before.values()) & set(s.pids().values()), "new engines")
    until("the old ones are gone", lambda: not set(before.values()) & set(processes_of(s.dir)))
    s.stop()


@suite.test
def test_old_engine_still_there(s):
    """The storage is free only a moment after the start: the server waits for it, and does not mistake the old engine for its own."""
    s.start()
    pid = s.pids()[0]
    # An owner that goes away later: the lock held by this process.
    import fcntl
    s.stop()
    lock = open(os.path.join(s.storage[0], "LOCK"), "rb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    begun = read(s.log).count("waiting")
    s.spawn()
    until("the server says that it waits", lambda: read(s.log).count("waiting") > begun)
    lock.close()
    s.wait_joined()
    expect(s.pids()[0] != pid, "its own engine")
    s.stop()


@suite.test
def test_never_ready(s):
    """While an engine opens its storage, clients find nothing, dmg is told, and a stop works."""
    for what in ("never", "deaf", "silent", "garbage"):
        mode(s, 1, what)
        s.spawn()
        until("dmg is answered", lambda: s.dmg("system", "query").rc == 0)
        until("the other is there", lambda: s.members()[0]["state"] == "joined")
        expect(s.members()[1]["state"] == "starting", "rank 1 is starting")
        expect(not os.path.exists(os.path.join(s.sys_dir, "attach.json")), "no attach file yet")
        s.stop()


@suite.test
def test_stubborn_engine(s):
    """An engine that does not stop is killed at the second signal."""
    mode(s, 0, "stubborn")
    s.start()
    pids = s.pids()
    s.process.send_signal(signal.SIGTERM)
    until("the other has stopped", lambda: pids[1] not in processes_of(s.dir))
    expect(pids[0] in processes_of(s.dir) and s.process.poll() is None, "the server waits for the one that does not")
    s.process.send_signal(signal.SIGINT)
    expect(s.wait_end() == 0, "ended")
    expect(s.said("do not stop: killed"), "and said so")


@suite.test
def test_stopped_engine(s):
    """An engine that is stopped (SIGSTOP) holds up neither dmg nor the others for long."""
    s.start()
    pids = s.pids()
    os.kill(pids[1], signal.SIGSTOP)
    expect(s.members()[0]["state"] == "joined", "dmg is answered")
    os.kill(pids[0], signal.SIGKILL)
    s.wait_joined()
    expect(s.pids()[0] not in (0, pids[0]), "rank 0 was started again")
    until("the update was given up", lambda: s.said("engine rank 1 did not take group version"))
    os.kill(pids[1], signal.SIGCONT)
    s.stop()


@suite.test
def test_all_engines_stopped(s):
    """The question about each engine's targets has an end for all of them together."""
    s = System(s.programs, s.dir, engines=8, env={"CAIRN_ENGINE": s.env["CAIRN_ENGINE"]})
    s.start()
    pids = s.pids()
    for pid in pids.values():
        os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    expect(s.pids() == pids, "dmg is answered")
    expect(time.monotonic() - begun < 10, f"after {time.monotonic() - begun:.1f} s")
    for pid in pids.values():
        os.kill(pid, signal.SIGCONT)
    s.stop()


@suite.test
def test_control_socket(s):
    """Garbage, silence and half messages at the control socket concern nobody else."""
    s.start()
    path = os.path.join(s.sys_dir, "daos_server.sock")
    expect(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "private")
    held = []
    for data in (b"", b"\0" * 4096, b"\xff" * 65536, b"GET / HTTP/1.1\r\n\r\n", b"CNM1", bytes(range(256)) * 16):
        c = socket.socket(socket.AF_UNIX)
        c.connect(path)
        try:
            c.sendall(data)
        except BrokenPipeError:
            pass
        held.append(c)
    expect(s.members()[1]["state"] == "joined", "answered beside them")
    for _ in range(64):  # more than it serves at once: the excess is closed, and it recovers
        c = socket.socket(socket.AF_UNIX)
        c.connect(path)
        held.append(c)
    for c in held:
        c.close()
    until("answered afterwards", lambda: s.dmg("system", "query").rc == 0)
    s.stop()


@suite.test
def test_long_answer(s):
    """A list of any length up to 1 MiB comes whole, through daos_server, too; a longer one is an error at once."""
    s.start()
    for nr in (0, 400, 2000, 6000):
        with open(os.path.join(s.storage[0], "pools"), "w", encoding="utf-8") as f:
            f.write(f"{nr}")
        pools = s.dmg("-j", "pool", "list").response()["pools"]
        expect([p["label"] for p in pools] == [f"pool-{i:0120}" for i in range(nr)], f"{len(pools)} pools of {nr}")
    with open(os.path.join(s.storage[0], "pools"), "w", encoding="utf-8") as f:
        f.write("9000")
    begun = time.monotonic()
    s.dmg("pool", "list").fails("the list of pools is longer than 1 MiB", "DER_OVERFLOW")
    expect(time.monotonic() - begun < 20, "at once")
    s.stop()


@suite.test
def test_dmg_without_server(s):
    s.dmg("pool", "list").fails("dmg: ERROR: no daos_server at", f"{s.sys_dir}/daos_server.sock", "daos_server start -o FILE",
                                "CAIRN_RUNTIME_DIR", "DER_UNREACH")
    answer = s.dmg("-j", "pool", "list").json()
    expect(answer["response"] is None and answer["status"] == -1006 and "no daos_server at" in answer["error"], f"{answer}")
    s.env["CAIRN_RUNTIME_DIR"] = "/" + "x" * 300
    s.dmg("pool", "list").fails("runtime directory's name is too long")


@suite.test
def test_dmg_use(s):
    """Wrong use is one line; global options stand anywhere."""
    s.start()
    s.dmg("frob").fails("frob: no such command; see dmg --help")
    s.dmg("pool", "frob").fails("pool frob: no such command")
    s.dmg("pool").fails("pool: no such command")
    s.dmg("pool", "list", "--frob").fails("--frob: no such option")
    s.dmg("pool", "list", "x").fails("x: one argument too many")
    s.dmg("pool", "query").fails("expected a pool")
    s.dmg("pool", "destroy").fails("expected a pool")
    s.dmg("pool", "create").fails("how large?")
    s.dmg("pool", "create", "--size").fails("--size needs a value")
    s.dmg("pool", "create", "--size=ten").fails("--size ten: expected a size")
    s.dmg("pool", "create", "--size=0").fails("--size 0: expected a size")
    s.dmg("pool", "create", "--size=1G", "--scm-size=1G").fails("either --size or")
    s.dmg("pool", "create", "--size=1G", "--ranks=0;1").fails("expected numbers and ranges")
    s.dmg("pool", "create", "--size=1G", "--properties=label").fails("expected name:value")
    s.dmg("pool", "create", "--size=1G", "--properties=frob:1").fails("frob: no such pool property")
    s.dmg("pool", "create", "--size=1G", "--properties=rd_fac:x").fails("invalid redun fac value x (valid values: 0-4)")
    s.dmg("pool", "create", "--size=1G", "--nranks=2").fails("the fake engine has no pools")
    done = s.run("dmg")
    expect(done.rc == 1 and "usage: dmg" in done.err, done.text())
    expect("dmg pool create" in s.run("dmg", "pool", "--help").ok().out, "help")
    # What the engine answers comes through, with its line.
    s.dmg("pool", "list").fails("the fake engine has no pools", "DER_NOSYS")
    for argv in (("-j", "-G", s.name, "system", "query"), ("system", "query", "-j", "-G", s.name),
                 ("system", f"--sys-name={s.name}", "query", "--json", "-i"), ("-l", "localhost", "-o", "x.yml", "-j", "system", "query", "-G", s.name)):
        response = s.run("dmg", *argv).response()
        expect(response["system"] == "test" and len(response["members"]) == 2, f"{response}")
    expect(json.loads(s.run("dmg", "-j", "version").ok().out)["response"]["name"] == "dmg", "version")
    s.stop()


def main():
    programs = Programs(daos_server=sys.argv[1], dmg=sys.argv[2])
    engine = os.path.abspath(sys.argv[3])
    return suite.run(lambda folder: System(programs, folder, env={"CAIRN_ENGINE": engine}), sys.argv[4:])


if __name__ == "__main__":
    sys.exit(main())
