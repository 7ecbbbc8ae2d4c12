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


def main():
    programs = Programs(sys.argv[1])
    env = {"CAIRN_MODULE_DIR": os.path.dirname(programs["libcairn_engine.so"])}
    return suite.run(lambda folder: System(programs, folder, env=env), sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
