#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands of `daos` but copying: pool list and query; container create, list, query, destroy, properties; attributes of both; version; options anywhere; errors in one line.

Goal: names, options and JSON fields of the original as far as the commands exist. Method: embedded mode.

usage: cli_daos_test.py BUILD [TEST...]
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../cluster"))
from cli_copy_test import Embedded  # noqa: E402
from cluster import Programs, Suite, expect  # noqa: E402

suite = Suite("cli_daos")
UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


@suite.test
def test_pools(e):
    expect(e.daos("pool", "list").ok().out == "tank\n", "list")
    pools = e.daos("pool", "ls", "-j").response()["pools"]
    expect(len(pools) == 1 and pools[0]["label"] == "tank" and UUID.match(pools[0]["uuid"]), f"{pools}")
    q = e.daos("-j", "pool", "query", "tank").response()
    expect(q["uuid"] == pools[0]["uuid"] and q["state"] == "Ready", f"{q}")
    expect(q["total_targets"] == q["active_targets"] >= 1 and q["disabled_targets"] == 0 and q["svc_ldr"] == 0, f"{q}")
    expect([t["media_type"] for t in q["tier_stats"]] == ["scm", "nvme"], f"{q}")
    expect(all(0 < t["free"] <= t["total"] and t["min"] <= t["mean"] <= t["max"] for t in q["tier_stats"]), f"{q}")
    expect(e.daos("-j", "pool", "query", q["uuid"]).response() == q, "by uuid")
    text = e.daos("pool", "query", "tank").ok().out
    expect(f"Pool {q['uuid']}, ntarget=" in text and "Data: total" in text, text)
    e.daos("pool", "query").fails("expected a pool", "DER_INVAL")
    e.daos("pool", "query", "none").fails("pool none: no such label or uuid", "`daos pool list`", "DER_NONEXIST")
    e.daos("pool", "query", "bad label!").fails("bad label!", "DER_INVAL")


@suite.test
def test_containers(e):
    expect(e.daos("-j", "container", "list", "tank").response() == [], "none yet")
    made = e.daos("-j", "container", "create", "tank", "box", "--type", "POSIX", "--chunk-size=64KiB").response()
    expect(set(made) >= {"pool_uuid", "container_uuid", "container_label", "container_type"}, f"{made}")
    expect(made["container_label"] == "box" and made["container_type"] == "POSIX" and UUID.match(made["container_uuid"]), f"{made}")
    listed = e.daos("-j", "cont", "ls", "tank").response()
    expect(listed == [{"uuid": made["container_uuid"], "label": "box"}], f"{listed}")
    expect(e.daos("cont", "list", "tank").ok().out == f"{made['container_uuid']} box\n", "text")
    q = e.daos("-j", "container", "query", "tank", "box").response()
    expect(q["container_uuid"] == made["container_uuid"] and q["pool_uuid"] == made["pool_uuid"], f"{q}")
    expect(q["container_type"] == "POSIX" and q["redundancy_factor"] == 0 and q["num_snapshots"] == 0, f"{q}")
    expect(q["chunk_size"] == 65536 and q["object_class"] == "UNKNOWN" and q["dir_object_class"] == "UNKNOWN", f"{q}")
    text = e.daos("container", "query", "tank", made["container_uuid"]).ok().out
    expect("Container Label            : box" in text and "Container Type             : POSIX" in text, text)
    e.daos("cont", "create", "tank", "box").fails("container box", "taken", "DER_EXIST")
    e.daos("cont", "create", "tank", "other", "--type", "HDF5").fails("--type HDF5", "POSIX")
    e.daos("cont", "create", "tank", "other", "--chunk-size", "huge", "--type", "POSIX").fails("--chunk-size huge")
    e.daos("cont", "create", "tank", "other", "--properties", "nonsense:1").fails("--properties nonsense:1", "name:value")
    e.daos("cont", "create", "tank", "other", "--properties", "rd_fac:2", "--type", "POSIX").fails("container other")
    e.daos("cont", "create", "none", "box").fails("pool none")
    e.daos("cont", "create").fails("a pool")
    e.daos("cont", "create", "tank", "plain", "--properties", "cksum:crc32,label:plain").ok()
    expect(e.daos("-j", "cont", "query", "tank", "plain").response()["container_type"] == "unknown", "no type")
    unnamed = e.daos("-j", "cont", "create", "tank").response()
    expect(unnamed["container_label"] == "" and len(e.daos("-j", "cont", "list", "tank").response()) == 3, f"{unnamed}")
    e.daos("cont", "destroy", "tank", unnamed["container_uuid"]).ok()
    expect("destroyed container box" in e.daos("cont", "destroy", "tank", "box", "--force").ok().out, "text")
    e.daos("cont", "destroy", "tank", "box").fails("container box", "DER_NONEXIST")
    e.daos("cont", "query", "tank", "box").fails("container box", "DER_NONEXIST")
    e.daos("cont", "query", "tank").fails("a pool and a container")


@suite.test
def test_properties(e):
    e.daos("cont", "create", "tank", "box", "--type", "POSIX", "--properties", "cksum:sha256,cksum_size:65536,srv_cksum:on").ok()
    props = e.daos("-j", "cont", "get-prop", "tank", "box").response()
    expect(all(set(p) == {"name", "description", "value"} for p in props), f"{props}")
    got = {p["name"]: p["value"] for p in props}
    want = {"alloc_oid": got["alloc_oid"], "cksum": "sha256", "cksum_size": 65536, "compression": "off", "dedup": "off", "dedup_threshold": 4096, "ec_cell_sz": 131072, "ec_pda": 1,
            "encryption": "off", "global_version": 1, "group": got["group"], "label": "box", "layout_type": "POSIX", "layout_version": 1, "max_snapshot": 0, "obj_version": got["obj_version"],
            "owner": got["owner"], "perf_domain": 255, "rd_fac": "rd_fac0", "rd_lvl": "node", "rp_pda": 4294967295, "scrubber_disabled": "off", "srv_cksum": "on", "status": "HEALTHY"}
    expect(got == want and list(got) == sorted(got), f"{got}")
    some = e.daos("-j", "cont", "getprop", "tank", "box", "rf,health,cksum").response()
    expect([(p["name"], p["value"]) for p in some] == [("rd_fac", "rd_fac0"), ("status", "HEALTHY"), ("cksum", "sha256")], f"{some}")
    expect(e.daos("-j", "cont", "get-prop", "tank", "box", "--properties=rf,health,cksum").response() == some, "by option")
    text = e.daos("cont", "get-prop", "tank", "box", "cksum,cksum_size").ok().out.splitlines()
    expect(text[0] == "Properties for container box" and text[1].split() == ["Name", "Value"] and len(text) == 5, f"{text}")
    expect(text[3].split() == ["Checksum", "(cksum)", "sha256"] and text[4].split(")")[-1].split() == ["64.0", "KiB"] or "(cksum_size)" in text[4], f"{text}")
    expect("successfully set" in e.daos("cont", "set-prop", "tank", "box", "label:chest").ok().out, "label")
    expect(e.daos("-j", "cont", "get-prop", "tank", "chest", "label").response()[0]["value"] == "chest", "label")
    expect(e.daos("-j", "cont", "set-prop", "tank", "chest", "--properties", "label:box").response() is None, "json")
    e.daos("cont", "set-prop", "tank", "box", "status:healthy").ok()
    e.daos("cont", "set-prop", "tank", "box", "scrubber_disabled:on").ok()
    expect(e.daos("-j", "cont", "get-prop", "tank", "box", "scrubber_disabled").response()[0]["value"] == "on", "scrubbing is off")
    e.daos("cont", "set-prop", "tank", "box", "scrubber_disabled:off").ok()
    e.daos("cont", "set-prop", "tank", "box", "scrubber_disabled:2").fails("scrubber_disabled:2", "DER_INVAL")
    e.daos("cont", "set-prop", "tank", "box", "cksum:off").fails("container box: cksum:off", "cannot be changed")
    e.daos("cont", "set-prop", "tank", "box", "nothing:1").fails("nothing:1", "name:value", "DER_INVAL")
    e.daos("cont", "set-prop", "tank", "box").fails("expected properties")
    e.daos("cont", "set-prop", "tank", "none", "label:x").fails("container none", "DER_NONEXIST")
    e.daos("cont", "get-prop", "tank", "box", "nothing").fails('unknown property "nothing"', "DER_INVAL")
    e.daos("cont", "get-prop", "tank", "box", ",").fails("expected names of properties")
    e.daos("cont", "get-prop", "tank").fails("a pool, a container")
    e.daos("cont", "get-prop", "tank", "box", "cksum", "--properties", "label").fails("a pool, a container")
    expect({p["name"]: p["value"] for p in e.daos("-j", "cont", "get-prop", "tank", "box").response()} == want, "nothing else has changed")


@suite.test
def test_attributes(e):
    e.daos("cont", "create", "tank", "box").ok()
    for place, name in ((["pool"], "pool tank"), (["cont"], "container box")):
        ids = ["tank"] + (["box"] if place == ["cont"] else [])

        def run(verb, *args):
            return e.daos("-j", *place, verb, *ids, *args)

        def text(verb, *args):
            return e.daos(*place, verb, *ids, *args)

        expect(run("list-attr").response() == [] and run("get-attr").response() == [], "none yet")
        expect(text("list-attr").ok().out == f"Attributes for {name}:\nName\n----\nNo attributes found.\n", "none yet")
        expect(run("set-attr", "b:two:2,a:one").response() is None, "several")
        text("set-attr", "empty", "").fails(name, "DER_INVAL")
        text("setattr", "c", "x,y:z\nw").ok()
        expect(run("list-attrs").response() == ["a", "b", "c"], f"{run('list-attr').out}")
        expect(text("lsattr").ok().out.splitlines()[3:] == ["a", "b", "c"], "text")
        expect(run("get-attr", "b").response() == {"name": "b", "value": "dHdvOjI="}, f"{run('get-attr', 'b').out}")
        every = [{"name": "a", "value": "b25l"}, {"name": "b", "value": "dHdvOjI="}, {"name": "c", "value": "eCx5OnoKdw=="}]
        expect(run("get-attr").response() == every and run("list-attr", "--verbose").response() == run("list-attr", "-V").response() == every, f"{run('get-attr').out}")
        expect(run("getattr", "c,a").response() == [every[2], every[0]], "in the order of who asks")
        if place == ["pool"]:
            continue
        lines = text("get-attr").ok().out.splitlines()
        expect([line.split() for line in lines[1:]] == [["Name", "Value"], ["----", "-----"], ["a", "one"], ["b", "two:2"], ["c", "x,y:z.w"]], f"{lines}")
        long = "v" * 5000
        text("set-attr", "a", long).ok()
        expect(text("get-attr", "a").ok().out.splitlines()[3].split() == ["a", long], "a longer value")
        text("get-attr", "none").fails(f"{name}: no such attribute", "list-attr", "DER_NONEXIST")
        expect(run("del-attr", "b").response() is None and run("list-attr").response() == ["a", "c"], "one is gone")
        text("delattr", "a,c").ok()
        expect(run("list-attr").response() == [], "all are gone")
        for verb, args in (("set-attr", []), ("set-attr", ["novalue"]), ("set-attr", [":x"]), ("set-attr", ["a", "b", "c"]), ("del-attr", []), ("del-attr", [","]),
                           ("get-attr", ["a", "b"]), ("list-attr", ["a"])):
            text(verb, *args).fails("expected", "DER_INVAL")
    e.daos("cont", "list-attr", "tank").fails("a pool and a container")
    e.daos("pool", "list-attr").fails("a pool")
    e.daos("cont", "get-attr", "tank", "none").fails("container none", "DER_NONEXIST")


@suite.test
def test_snapshots(e):
    e.daos("cont", "create", "tank", "box").ok()

    def run(verb, *args):
        return e.daos("-j", "cont", verb, "tank", "box", *args)

    def text(verb, *args):
        return e.daos("cont", verb, "tank", "box", *args)

    expect(run("list-snap").response() == [], "none yet")
    expect(text("list-snap").ok().out == "Snapshots of container box:\nno snapshots\n", "none yet")
    plain = run("create-snap").response()
    expect(set(plain) == {"epoch", "timestamp"} and re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$", plain["timestamp"]), f"{plain}")
    named = run("create-snap", "--snap", "monday").response()
    expect(named["name"] == "monday" and named["epoch"] > plain["epoch"], f"{named}")
    expect(run("list-snaps").response() == [plain, named], "both, oldest first")
    expect(e.daos("-j", "cont", "query", "tank", "box").response()["num_snapshots"] == 2, "the query counts them")
    said = text("create-snap").ok().out
    third = int(re.match(r"snapshot/epoch (0x[0-9a-f]+) has been created\n$", said).group(1), 16)
    lines = text("list-snap").ok().out.splitlines()
    expect([line.split()[0] for line in lines[1:]] == [hex(plain["epoch"]), hex(named["epoch"]), hex(third)] and lines[2].split()[2] == "monday", f"{lines}")
    text("create-snap", "--snap=monday").fails("container box: there is a snapshot monday", "DER_EXIST")
    text("create-snap", "--snap=").fails("--snap")
    text("create-snap", "--snap=" + "x" * 128).fails("--snap", "1 to 127 bytes")
    for args in ([], ["--snap=monday", "--epc=1"], ["--epc=1", "--epcrange=1-2"]):
        text("destroy-snap", *args).fails("expected one of --snap, --epc and --epcrange")
    for args, says in ((["--epc=x"], "--epc x"), (["--epc="], "--epc"), (["--epc=-1"], "--epc -1"), (["--epcrange=5"], "--epcrange 5"), (["--epcrange=5-4"], "FROM-TO"),
                       (["--epcrange=5-"], "FROM-TO"), (["--epc=99999999999999999999"], "not an epoch")):
        text("destroy-snap", *args).fails(says, "DER_INVAL")
    for args in (["--epc=1"], ["--epcrange=1-2"], ["--snap=tuesday"]):
        text("destroy-snap", *args).fails("container box: no such snapshot", "DER_NONEXIST")
    expect(len(run("list-snap").response()) == 3, "nothing went")
    expect(run("destroy-snap", "--snap", "monday").response() is None, "by name")
    expect([s["epoch"] for s in run("list-snap").response()] == [plain["epoch"], third], "one is gone")
    text("destroy-snap", f"--epc={third:#x}").ok()
    expect(run("list-snap").response() == [plain], "another")
    for i in range(9):  # more than one page of them
        run("create-snap", f"--snap=n{i}").response()
    snaps = run("list-snap").response()
    expect([s.get("name") for s in snaps] == [None] + [f"n{i}" for i in range(9)] and len({s["epoch"] for s in snaps}) == 10, f"{snaps}")
    run("destroy-snap", f"--epcrange={snaps[1]['epoch']}-{snaps[8]['epoch']}").response()
    expect(run("list-snap").response() == [snaps[0], snaps[9]], "a range")
    e.daos("cont", "create-snap", "tank").fails("a pool and a container")
    e.daos("cont", "list-snap", "tank", "none").fails("container none", "DER_NONEXIST")


@suite.test
def test_options_anywhere(e):
    for args in (["-j", "pool", "query", "tank"], ["pool", "-j", "query", "tank"], ["pool", "query", "-j", "tank"],
                 ["pool", "query", "tank", "--json"]):
        expect(e.daos(*args).response()["state"] == "Ready", f"{args}")
    expect(re.match(r"daos version \d+\.\d+\.\d+ \(API 2\.\d+\)\n$", e.daos("version").ok().out), "version")
    expect(set(e.daos("version", "-j").response()) == {"version", "name"}, "version")
    for args in (["--help"], ["-h"], ["pool", "query", "--help"]):
        text = e.daos(*args).ok().out
        expect(text.startswith("usage: daos ") and "filesystem copy" in text and "container create" in text, text)
    done = e.daos()
    expect(done.rc == 1 and done.err.startswith("usage: daos ") and done.out == "", done.text())
    e.daos("nothing").fails("nothing: no such command")
    e.daos("pool", "nothing").fails("pool nothing: no such command")
    e.daos("pool", "list", "--nothing").fails("--nothing: no such option")
    answer = e.daos("pool", "query", "none", "-j").json()
    expect(answer["status"] == -1005 and "none" in answer["error"], f"{answer}")


@suite.test
def test_no_system(e):
    del e.env["CAIRN_EMBEDDED"]
    e.daos("pool", "list").fails("is daos_server running", "CAIRN_RUNTIME_DIR", "DER_AGENT_COMM")
    e.daos("-G", "elsewhere", "pool", "query", "tank").fails("pool tank", "is daos_server running")


if __name__ == "__main__":
    programs = Programs(sys.argv[1])
    sys.exit(suite.run(lambda folder: Embedded(programs, folder).start(), sys.argv[2:], "an engine in the process, on real files"))
