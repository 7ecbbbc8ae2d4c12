#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands of `daos` but copying: pool list and query; container create, list, query, destroy; version; options anywhere; errors in one line.

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
