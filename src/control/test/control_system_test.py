#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""dmg and daos over real engines: what a command asked for is what there is afterwards.

Goal: options of the command lines have their effect, wrong ones are refused in one line and change nothing. Method: each effect is read back by another command.

usage: control_system_test.py BUILD [TEST...]
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../test/cluster"))
from cluster import Programs, Suite, System, expect  # noqa: E402

suite = Suite("control_system")
SIZES = ("--scm-size=64MiB", "--nvme-size=256MiB")


def create(s, label, *options):
    return s.dmg("-j", "pool", "create", label, *SIZES, *options).response()


def write(s, name, text):
    path = os.path.join(s.dir, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


@suite.test
def test_pool_ranks(s):
    """--ranks and --nranks decide where a pool is."""
    s = System(s.programs, s.dir, engines=3).start()
    expect(create(s, "all")["tgt_ranks"] == [0, 1, 2], "without: all ranks")
    for ranks, want in (("1", [1]), ("2,0", [0, 2]), ("0-1", [0, 1]), ("1-2,0", [0, 1, 2])):
        made = create(s, f"on-{ranks.replace(',', '_')}", f"--ranks={ranks}")
        expect(sorted(made["tgt_ranks"]) == want, f"--ranks={ranks}: {made}")
        expect(set(made) == {"uuid", "svc_ldr", "svc_reps", "tgt_ranks", "tier_bytes", "mem_file_bytes", "md_on_ssd_active"}, f"{made}")
        query = s.dmg("-j", "pool", "query", made["uuid"]).response()
        expect(query["enabled_ranks"] == want and query["total_targets"] == 2 * len(want), f"as the pool map has it: {query}")
    for nr in (1, 2, 3):
        made = create(s, f"n{nr}", f"--nranks={nr}")
        expect(len(set(made["tgt_ranks"])) == nr, f"--nranks={nr}: {made}")
    seen = set()
    for i in range(32):  # the rank follows from a random uuid: that all are the same is a matter of 1 in 10^15
        seen |= set(create(s, "single", "--nranks=1")["tgt_ranks"])
        s.dmg("pool", "destroy", "single").ok()
    expect(len(seen) > 1, f"single ranks are not always the same one: {seen}")
    made = s.dmg("-j", "pool", "create", "sized", "--size=1GiB", "--nranks=2", "--nsvc=1").response()
    expect(0.9 * 2**30 < sum(made["tier_bytes"]) * 2 <= 2**30, f"--size is over the ranks that were chosen: {made}")
    nr = len(s.dmg("-j", "pool", "list").response()["pools"])
    for options, says in ((["--nranks=4"], "3 have joined"), (["--nranks=0"], "--nranks 0"), (["--nranks=-1"], "--nranks -1"),
                          (["--nranks=x"], "--nranks x"), (["--nranks=2", "--ranks=0"], "either --ranks or --nranks"),
                          (["--nsvc=0"], "--nsvc 0"), (["--nsvc=3"], "1 replica in this version"), (["--nsvc=x"], "--nsvc x"),
                          (["--ranks=7"], "has not joined"), (["--ranks=0,0"], "twice"), (["--ranks=2-1"], "--ranks 2-1"),
                          (["--ranks="], "--ranks"), (["--ranks=0,x"], "--ranks 0,x"), (["--ranks=1-"], "--ranks 1-"),
                          (["--ranks=0-99999999"], "--ranks 0-99999999")):
        s.dmg("pool", "create", "no", *SIZES, *options).fails(says)
    expect(len(s.dmg("-j", "pool", "list").response()["pools"]) == nr, "nothing was made")
    s.stop()


@suite.test
def test_pool_evict(s):
    """Without handles there is nothing to do; what happens to handles is tested where there are some (server_evict_test, test/soak)."""
    s = System(s.programs, s.dir, engines=2).start()
    made = create(s, "tank")
    expect(s.dmg("-j", "pool", "evict", "tank").response() == {"handles": 0}, "by label")
    expect(s.dmg("-j", "pool", "evict", made["uuid"]).response() == {"handles": 0}, "by uuid")
    expect(s.dmg("pool", "evict", "tank").ok().out == "Pool tank: 0 handles evicted\n", "as text")
    s.dmg("pool", "evict", "lake").fails("lake", "does not exist")
    s.dmg("pool", "evict").fails("expected a pool")
    s.dmg("pool", "evict", "tank", "--force").fails("--force")
    s.stop()


@suite.test
def test_pool_acl(s):
    """--acl-file, --user and --group are stored, and stay over a restart."""
    s = System(s.programs, s.dir, engines=1).start()
    path = write(s, "acl", "# who may what\n\nA::EVERYONE@:r\n  A::bob@:rwcd\t\r\nA:G:team@some.domain:rw\n#A::eve@:r\nA::OWNER@:rwcdtTaAo\n")
    create(s, "with", f"--acl-file={path}", "--user=alice", "--group=staff@there")
    want = {"entries": ["A::OWNER@:rwcdtTaAo", "A::bob@:cdrw", "A:G:team@some.domain:rw", "A::EVERYONE@:r"],
            "owner_user": "alice@", "owner_group": "staff@there"}

    def same(got):
        """Letters of the rights have an order of their own."""
        return [e.rsplit(":", 1)[0] + ":" + "".join(sorted(e.rsplit(":", 1)[1])) for e in got["entries"]] == \
            [e.rsplit(":", 1)[0] + ":" + "".join(sorted(e.rsplit(":", 1)[1])) for e in want["entries"]] and \
            {k: got[k] for k in ("owner_user", "owner_group")} == {k: want[k] for k in ("owner_user", "owner_group")}

    got = s.dmg("-j", "pool", "get-acl", "with").response()
    expect(set(got) == set(want) and same(got), f"{got}")
    text = s.dmg("pool", "get-acl", "with").ok().out.splitlines()
    expect(text[:3] == ["# Owner: alice@", "# Owner Group: staff@there", "# Entries:"] and text[3:] == got["entries"], f"{text}")
    again = write(s, "again", "\n".join(text) + "\n")  # what is printed can be read
    create(s, "copy", f"--acl-file={again}", "--user=alice@", "--group=staff@there")
    expect(s.dmg("-j", "pool", "get-acl", "copy").response() == got, "the same list")
    create(s, "without")
    bare = s.dmg("-j", "pool", "get-acl", "without").response()
    expect(bare["entries"] == [] and bare["owner_user"].endswith("@") and len(bare["owner_user"]) > 1, f"{bare}")
    s.stop().start()
    expect(same(s.dmg("-j", "pool", "get-acl", "with").response()), "after a restart")

    nr = len(s.dmg("-j", "pool", "list").response()["pools"])
    for text, says in (("", "no access control list"), ("# nothing\n", "no access control list"), ("A::bob@:rw\nnonsense\n", "acl:2: 'nonsense'"),
                       ("A::bob@:rwx\n", "acl:1: 'A::bob@:rwx'"), ("A::bob@\n", "acl:1"), ("A::bob:rw\n", "acl:1"), ("X::bob@:rw\n", "acl:1"),
                       ("A:G:OWNER@:rw\n", "acl:1"), ("A::a@:r\n\nA::a@:rw\n", "acl:3: 'A::a@:rw': its principal has an entry"),
                       ("A::" + "x" * 300 + "@:r\n", "acl:1"), ("A::" + "x" * 3000 + "@:r\n", "acl:1: longer than"),
                       ("".join(f"A::{'u' * 200}{i}@:r\n" for i in range(100)), "it may have 16384")):
        write(s, "acl", text)
        s.dmg("pool", "create", "no", *SIZES, f"--acl-file={path}").fails(says)
    s.dmg("pool", "create", "no", *SIZES, f"--acl-file={s.dir}/none").fails(f"{s.dir}/none: No such file")
    s.dmg("pool", "create", "no", *SIZES, f"--acl-file={s.dir}").fails(s.dir)
    s.dmg("pool", "create", "no", *SIZES, "--user=a b:c@@").fails("--user")
    s.dmg("pool", "create", "no", *SIZES, "--group=").fails("--group")
    s.dmg("pool", "get-acl").fails("expected a pool")
    s.dmg("pool", "get-acl", "no").fails("'no' does not exist", "DER_NONEXIST")
    expect(len(s.dmg("-j", "pool", "list").response()["pools"]) == nr, "nothing was made")
    write(s, "acl", "".join(f"A::{'u' * 200}{i:02}@:r\n" for i in range(60)))  # nearly as long as it may be
    create(s, "long", f"--acl-file={path}")
    expect(len(s.dmg("-j", "pool", "get-acl", "long").response()["entries"]) == 60, "all of it")
    s.stop()


PROPS = {"checkpoint": "timed", "checkpoint_freq": 5, "checkpoint_thresh": 50, "data_thresh": 4096, "ec_cell_sz": 131072, "ec_pda": 1,
         "global_version": 1, "label": "tank", "perf_domain": "root", "rd_fac": 0, "reclaim": "lazy", "reintegration": "data_sync", "rp_pda": 4294967295,
         "scrub": "off", "scrub_freq": 604800, "scrub_thresh": 0, "self_heal": "exclude;rebuild", "space_rb": 5, "svc_list": [0], "svc_ops_enabled": 1,
         "svc_ops_entry_age": 300, "svc_rf": 0, "upgrade_status": "not started"}


def props(s, pool, *names):
    return {p["name"]: p["value"] for p in s.dmg("-j", "pool", "get-prop", pool, *names).response()}


@suite.test
def test_pool_props(s):
    """What is set is what is there afterwards, also after a restart; what is wrong changes nothing."""
    s = System(s.programs, s.dir, engines=2).start()
    made = create(s, "tank", "--ranks=0")
    create(s, "lake", "--ranks=1", "--properties=reclaim:time,scrub:timed,scrub_freq:3600,ec_cell_sz:64KiB")
    want = dict(PROPS)
    expect(props(s, "tank") == want, f"as made: {props(s, 'tank')}")
    lake = props(s, "lake")
    expect((lake["reclaim"], lake["scrub"], lake["scrub_freq"], lake["ec_cell_sz"], lake["svc_list"]) == ("time", "timed", 3600, 65536, [1]), f"{lake}")
    for text, changed in (("reclaim:disabled", {"reclaim": "disabled"}), ("scrub:lazy,scrub_freq:60,scrub_thresh:7", {"scrub": "lazy", "scrub_freq": 60, "scrub_thresh": 7}),
                          ("space_rb:20%", {"space_rb": 20}), ("space_rb:0", {"space_rb": 0}), ("self_heal:exclude", {"self_heal": "exclude"}),
                          ("self_heal:rebuild;delay_rebuild", {"self_heal": "delay_rebuild;rebuild"}), ("SCRUB:off".lower(), {"scrub": "off"}),
                          ("scrub-freq:120,scrub-thresh:3", {"scrub_freq": 120, "scrub_thresh": 3}), ("ec_cell_sz:1MiB", {"ec_cell_sz": 1048576}),
                          ("checkpoint:lazy,checkpoint_freq:10,checkpoint_thresh:60", {"checkpoint": "lazy", "checkpoint_freq": 10, "checkpoint_thresh": 60}),
                          ("reintegration:incremental", {"reintegration": "incremental"}), ("reclaim:TIME", {"reclaim": "time"})):
        out = s.dmg("pool", "set-prop", "tank", text).ok().out
        expect(out == "pool set-prop succeeded\n", f"{text}: {out}")
        want.update(changed)
        expect(props(s, "tank") == want, f"{text}: {props(s, 'tank')}")
    expect(s.dmg("-j", "pool", "set-prop", made["uuid"], "scrub:timed").response() is None, "by uuid")
    expect(props(s, "tank", "scrub") == {"scrub": "timed"}, "one")
    want["scrub"] = "timed"
    text = s.dmg("pool", "get-prop", "tank", "scrub,reclaim").ok().out.splitlines()
    expect(text[0] == "Pool tank properties:" and text[1].split() == ["Name", "Value"], f"{text}")
    expect(text[3].split() == ["Checksum", "scrubbing", "mode", "(scrub)", "timed"] and text[4].split() == ["Reclaim", "strategy", "(reclaim)", "time"], f"{text}")

    # a label, on the rank of the system service and on another
    s.dmg("pool", "set-prop", "tank", "label:pond,scrub_thresh:9").ok()
    want.update({"label": "pond", "scrub_thresh": 9})
    s.dmg("pool", "query", "tank").fails("'tank' does not exist")
    expect(props(s, "pond") == want, f"{props(s, 'pond')}")
    s.dmg("pool", "set-prop", "lake", "label:pond").fails("another pool has that label", "DER_EXIST")
    s.dmg("pool", "set-prop", "lake", "label:tank").ok()  # it is free again
    expect(props(s, "tank")["label"] == "tank" and props(s, "tank")["scrub"] == "timed", "the other one")
    expect(sorted(p["label"] for p in s.dmg("-j", "pool", "list").response()["pools"]) == ["pond", "tank"], "the list")

    for text, says in (("frob:1", '"frob" is not a settable property (valid: checkpoint,checkpoint_freq,'), ("rd_fac:0", '"rd_fac" is not a settable property'),
                       ("svc_list:0", '"svc_list" is not a settable'), ("reclaim:often", 'invalid value "often" for reclaim (valid: disabled,lazy,time)'),
                       ("scrub:on", 'invalid value "on" for scrub (valid: lazy,off,timed)'), ("scrub_freq:x", "invalid Scrubbing Frequency value x"),
                       ("scrub_freq:-1", "invalid Scrubbing Frequency value -1"), ("scrub_thresh:1x", 'invalid Scrubbing Threshold value "1x"'),
                       ("scrub_thresh:99999999999", 'invalid Scrubbing Threshold value "99999999999"'), ("space_rb:101", "invalid space_rb value 101 (valid values: 0-100)"),
                       ("space_rb:5%%", "invalid space_rb value 5%%"), ("label:a b", 'invalid label "a b"'), ("label:", 'invalid label ""'), ("ec_cell_sz:3", 'invalid EC Cell size "3"'),
                       ("self_heal:none", 'invalid value "none" for self_heal'), ("checkpoint_thresh:80", "invalid Checkpointing threshold value 80"),
                       ("reclaim", 'invalid property "reclaim" (must be key:val)'), (":1", "must be key:val"), ("reclaim:lazy,reclaim:time", "stands there twice"),
                       (f"label:{made['uuid']}", "no such property, or a value out of range"), (",", "expected properties")):
        s.dmg("pool", "set-prop", "pond", text).fails(says)
    expect(props(s, "pond") == want, f"nothing was changed: {props(s, 'pond')}")
    s.dmg("pool", "set-prop", "pond").fails("expected a pool and properties")
    s.dmg("pool", "set-prop", "no", "scrub:off").fails("'no' does not exist", "DER_NONEXIST")
    s.dmg("pool", "get-prop").fails("expected a pool")
    s.dmg("pool", "get-prop", "no").fails("'no' does not exist", "DER_NONEXIST")
    s.dmg("pool", "get-prop", "pond", "frob").fails('unknown property "frob"')
    s.dmg("pool", "get-prop", "pond", ",").fails("expected names")
    s.stop().start()
    expect(props(s, "pond") == want, f"after a restart: {props(s, 'pond')}")
    s.stop()


@suite.test
def test_pool_query_targets(s):
    """Each target of a rank, or those asked for."""
    s = System(s.programs, s.dir, engines=2).start()
    create(s, "tank", "--properties=scrub_thresh:5")
    create(s, "one", "--ranks=1")
    whole = s.dmg("-j", "pool", "query-targets", "tank", "--rank=1").response()
    expect(whole["status"] == 0 and [i["target"] for i in whole["infos"]] == [0, 1], f"{whole}")
    for info in whole["infos"]:
        expect(info["target_state"] == "up_in" and info["target_type"] == "unknown" and info["rc"] == 0 and info["error"] == "", f"{info}")
        expect(info["scrub_bad"] == 0 and info["scrub_thresh"] == 5, f"{info}")
        expect([t["media_type"] for t in info["space"]] == ["scm", "nvme"] and all(0 < t["free"] <= t["total"] for t in info["space"]), f"{info}")
    part = s.dmg("-j", "pool", "query-targets", "tank", "--rank", "0", "--target-idx", "1").response()["infos"]
    expect([i["target"] for i in part] == [1], f"{part}")
    text = s.dmg("pool", "query-targets", "tank", "--rank=0", "--target-idx=0,1").ok().out
    expect(text.count("Target: type unknown, state up_in\n- Storage tier 0 (SCM):\n  Total size: ") == 2, text)
    for options, says in (([], "--rank"), (["--rank=x"], "--rank x"), (["--rank=0,1"], "one number"), (["--rank=7"], "no targets on rank 7"), (["--rank=0", "--target-idx=2"], "has 2 targets on rank 0"),
                          (["--rank=0", "--target-idx=x"], "--target-idx x"), (["--rank=0", "--target-idx="], "--target-idx")):
        s.dmg("pool", "query-targets", "tank", *options).fails(says)
    s.dmg("pool", "query-targets", "one", "--rank=0").fails("'one' has no targets on rank 0", "DER_NONEXIST")
    s.dmg("pool", "query-targets", "no", "--rank=0").fails("'no' does not exist")
    s.dmg("pool", "query-targets", "--rank=0").fails("expected a pool")
    s.stop()


@suite.test
def test_storage_query(s):
    """Devices of every engine, how they do, and what an engine that is gone leaves unsaid."""
    s = System(s.programs, s.dir, engines=2).start()
    create(s, "tank")

    def devices(*options):
        got = s.dmg("-j", "storage", "query", "list-devices", *options).response()
        return got["HostStorage"]["1"]["storage"]["smd_info"]["devices"], got["host_errors"]

    devs, errors = devices()
    expect(errors == {} and sorted((d["rank"], d["tgt_ids"]) for d in devs) == [(0, [0]), (0, [1]), (1, [0]), (1, [1])], f"a directory for each target: {devs}")
    expect(all(d["roles"] == "data,meta,wal" and d["ctrlr"]["dev_state"] == "NORMAL" and "health_stats" not in d["ctrlr"] for d in devs), f"{devs}")
    expect(len({d["uuid"] for d in devs}) == 4 and all(os.path.isdir(d["ctrlr"]["pci_addr"]) for d in devs), f"{devs}")
    devs, _ = devices("--rank=1", "--health")
    for dev in devs:
        health = dev["ctrlr"]["health_stats"]
        expect(dev["rank"] == 1 and [h["target"] for h in health] == dev["tgt_ids"] and health[0]["rc"] == 0 and health[0]["state"] == "NORMAL", f"{dev}")
        expect(set(health[0]["scrub"]) == {"passes", "bytes", "bad", "mended", "meta_passes", "meta_bytes", "containers_skipped", "shards_out"}, f"{health}")
        expect(set(health[0]["aggregation"]) == {"passes", "freed_bytes", "work_ns", "space_waits"}, f"{health}")
        st = health[0]["store"]
        expect(set(st) == {"meta_total", "meta_free", "data_total", "data_free", "log_total", "log_used", "checkpoints", "memory_limit", "memory_used", "page_loads",
                           "page_drops"}, f"{st}")
        expect(0 < st["meta_free"] < st["meta_total"] and 0 < st["data_free"] <= st["data_total"] and st["log_used"] < st["log_total"] and
               0 < st["memory_used"] < 64 << 20 and (st["memory_limit"] == 0 or st["memory_used"] <= st["memory_limit"]), f"{st}")
    services = s.dmg("-j", "storage", "query", "list-devices", "--rank=1", "--health").response()["services"]
    expect(len(services) == 1 and services[0]["rank"] == 1 and services[0]["state"] == "NORMAL" and services[0]["scrub"]["bad"] == 0 and "target" not in services[0] and
           services[0]["store"]["meta_free"] > 0, f"{services}")
    one = devs[0]["uuid"]
    expect([d["uuid"] for d in devices(f"--uuid={one}")[0]] == [one], "by uuid")
    expect(devices("--show-evicted")[0] == [], "none is bad")
    text = s.dmg("storage", "query", "list-devices", "--health").ok().out
    expect(text.count("State:NORMAL") == 4 and text.count("Scrubber: ") == 6 and text.count("Services of rank ") == 2 and text.count("Aggregation: ") == 4 and text.count("Space: metadata ") == 6 and
           text.count("Memory: ") == 6 and "Roles:data,meta,wal" in text, text)
    s.dmg("storage", "query").fails("list-devices")
    s.dmg("storage", "query", "usage").fails("list-devices")
    s.dmg("storage", "query", "list-devices", "--rank=x").fails("--rank x")
    s.dmg("storage", "query", "list-devices", "--uuid=1").fails("no device 1", "DER_NONEXIST")
    s.stop()
    tgt = [d["ctrlr"]["pci_addr"] for d in devs if d["tgt_ids"] == [0]][0]
    os.rename(os.path.join(tgt, "meta"), os.path.join(tgt, "gone"))
    s.start()
    bad, _ = devices("--show-evicted", "--health")
    expect([(d["rank"], d["tgt_ids"], d["ctrlr"]["dev_state"]) for d in bad] == [(1, [0], "EVICTED")], f"{bad}")
    expect(bad[0]["ctrlr"]["health_stats"][0]["rc"] < 0 and tgt in bad[0]["ctrlr"]["health_stats"][0]["error"], f"{bad}")
    text = s.dmg("storage", "query", "list-devices", "--health").ok().out
    expect(text.count("State:EVICTED") == 1 and "Out of service: " in text, text)
    info = s.dmg("-j", "pool", "query-targets", "tank", "--rank=1", "--target-idx=0").response()["infos"][0]
    expect(info["rc"] < 0 and info["error"] != "" and info["space"] == [], f"{info}")
    s.stop()


@suite.test
def test_embedded(s):
    """The same commands without a server."""
    store = os.path.join(s.dir, "store")
    path = write(s, "acl", "A::OWNER@:rw\n")
    made = json.loads(s.run("dmg", "-j", "--embedded", store, "pool", "create", "e", *SIZES, "--nranks=1", f"--acl-file={path}").ok().out)
    expect(made["response"]["tgt_ranks"] == [0], f"{made}")
    got = json.loads(s.run("dmg", "-j", "--embedded", store, "pool", "get-acl", "e").ok().out)
    expect(got["response"]["entries"] == ["A::OWNER@:rw"], f"{got}")
    s.run("dmg", "--embedded", store, "pool", "create", "f", *SIZES, "--nranks=2").fails("1 have joined")
    s.run("dmg", "--embedded", store, "pool", "set-prop", "e", "scrub:lazy").ok()
    got = json.loads(s.run("dmg", "-j", "--embedded", store, "pool", "get-prop", "e", "scrub").ok().out)
    expect(got["response"] == [{"name": "scrub", "description": "Checksum scrubbing mode", "value": "lazy"}], f"{got}")
    got = json.loads(s.run("dmg", "-j", "--embedded", store, "storage", "query", "list-devices").ok().out)
    expect(len(got["response"]["HostStorage"]["1"]["storage"]["smd_info"]["devices"]) > 0, f"{got}")


def main():
    programs = Programs(sys.argv[1])
    env = {"CAIRN_MODULE_DIR": os.path.dirname(programs["libcairn_engine.so"])}
    return suite.run(lambda folder: System(programs, folder, env=env), sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
