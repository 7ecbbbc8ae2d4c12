#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""`daos filesystem copy`: trees in and out come back identical, also over what is there and after a kill; what cannot be done is told in one line.

Goal: the promises of cli_copy.h (CPY-1 to CPY-6). Method: embedded mode, trees made here, compared entry by entry with the source.

usage: cli_copy_test.py BUILD [TEST...]
"""
import os
import random
import re
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../cluster"))
from cluster import Done, Programs, Skip, Suite, expect  # noqa: E402

suite = Suite("cli_copy")
MIB = 1 << 20
DEADLINE_S = 180


class Embedded:
    """An engine in the copying process, on a directory; pool "tank"."""

    def __init__(self, programs, folder, meta="256MiB", data="1GiB"):
        self.programs = programs
        self.dir = folder
        self.store = os.path.join(folder, "store")
        self.env = dict(os.environ, CAIRN_EMBEDDED=self.store, CAIRN_RUNTIME_DIR=os.path.join(folder, "run"),
                        CAIRN_MODULE_DIR=os.path.dirname(programs["libcairn_engine.so"]))
        self.size = ["--scm-size", meta, "--nvme-size", data]
        self.nr = 0

    def start(self):
        os.makedirs(self.store, mode=0o700)
        self.run("dmg", "--embedded", self.store, "pool", "create", "tank", *self.size).ok()
        return self

    def run(self, name, *args):
        argv = [self.programs[name], *args]
        return Done([name, *args], subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=DEADLINE_S,
                                                  errors="replace", stdin=subprocess.DEVNULL))

    def daos(self, *args):
        return self.run("daos", *args)

    def copy(self, src, dst, *args):
        return self.daos("fs", "copy", "--src", src, "--dst", dst, *args)

    def place(self, path=""):
        return f"daos://tank/tree{path}"

    def path(self, name):
        return os.path.join(self.dir, name)


def write(path, data, mode=0o644, mtime_ns=None):
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, mode)
    if mtime_ns is not None:
        os.utime(path, ns=(mtime_ns, mtime_ns))


def entries(top):
    """Everything below a directory: {relative path: what is to be the same}."""
    found = {}
    for root, dirs, files in os.walk(os.fsencode(top)):
        for name in dirs + files:
            path = os.path.join(root, name)
            st = os.lstat(path)
            if stat.S_ISLNK(st.st_mode):
                what = os.readlink(path)
            elif stat.S_ISREG(st.st_mode):
                with open(path, "rb") as f:
                    what = f.read()
            else:
                what = None
            found[os.path.relpath(path, os.fsencode(top))] = (st.st_mode, st.st_mtime_ns, what)
    return found


def same(a, b):
    left, right = entries(a), entries(b)
    expect(set(left) == set(right), f"missing {sorted(set(left) - set(right))[:5]}, too much {sorted(set(right) - set(left))[:5]}")
    for name, (mode, mtime, what) in left.items():
        mode2, mtime2, what2 = right[name]
        expect(mode == mode2, f"{name}: mode {mode2:o} instead of {mode:o}")
        expect(mtime == mtime2, f"{name}: mtime {mtime2} instead of {mtime}")
        expect(what == what2, f"{name}: content differs")
    return len(left)


def tree_make(top, seed=1, files=120):
    """Directories, files around the sizes that matter, links, odd names, odd modes, old and future times."""
    rng = random.Random(seed)
    os.makedirs(top)
    dirs = [os.fsencode(top)]
    sizes = [0, 1, 4095, 4096, 4097, 16384, 16385, 65536, MIB - 1, MIB, MIB + 1, 3 * MIB + 7]
    for i in range(12):
        path = os.path.join(rng.choice(dirs), b"dir %d" % i)
        os.mkdir(path)
        dirs.append(path)
    names = [b"with space", b"new\nline", "ümlaut".encode(), b"\xff\xfe", b"n" * 255, b"-rf", b"..."]
    for i in range(files):
        name = names[i] if i < len(names) else b"file %d" % i
        size = sizes[i] if i < len(sizes) else rng.randrange(9000)
        write(os.path.join(rng.choice(dirs), name), rng.randbytes(size), rng.choice([0o644, 0o600, 0o755, 0o4711, 0o440]),
              rng.choice([1, 10**18 + 123456789, 4 * 10**18 + 5]))
    for i, target in enumerate([b"file 20", b"../dir 3", b"/nowhere/at all", b"t" * 4000, b".", b"\xff"]):
        os.symlink(target, os.path.join(rng.choice(dirs), b"link %d" % i))
    os.mkdir(os.path.join(dirs[0], b"empty"))
    for path in reversed(dirs):
        os.utime(path, ns=(7, 10**18 + len(path)))
    os.chmod(dirs[3], 0o700)
    os.chmod(dirs[4], 0o1777)
    return top


@suite.test
def test_tree_in_and_out(e):
    src = tree_make(e.path("src"))
    done = e.copy(src, e.place("/a/b"))
    done.fails("/a/b", "No such file or directory")  # the last component is made, no more
    answer = e.daos("-j", "fs", "copy", "--src", src, "--dst", e.place("/a")).response()
    stats = answer["copy_stats"]
    expect(stats["num_files"] == 120 and stats["num_links"] == 6 and stats["num_dirs"] == 14, f"counted {stats}")
    expect(answer["source_type"] == "POSIX" and answer["destination_type"] == "DAOS", f"types {answer}")
    expect(answer["retried_requests"] == 0, f"{answer}")
    text = e.copy(e.place("/a"), e.path("out")).ok().out
    expect(re.match(r"Successfully copied 14 directories, 120 files, 6 links, [\d.]+ MB in ", text) is not None, text)
    same(src, e.path("out"))
    expect(os.stat(src).st_mtime_ns == os.stat(e.path("out")).st_mtime_ns, "mtime of the top")


@suite.test
def test_between_containers_and_on_the_host(e):
    src = tree_make(e.path("src"), seed=2, files=40)
    e.copy(src, e.place("/one")).ok()
    e.copy(e.place("/one"), "daos://tank/other/two").ok()
    e.copy("daos://tank/other/two", e.path("out")).ok()
    same(src, e.path("out"))
    e.copy(src, e.path("out2")).ok()
    same(src, e.path("out2"))
    e.copy(e.place("/one"), e.place("/three")).ok()  # within one container
    e.copy(e.place(), e.path("all")).ok()
    same(e.path("all/one"), e.path("all/three"))


@suite.test
def test_over_what_is_there(e):
    src = tree_make(e.path("src"), seed=3, files=60)
    e.copy(src, e.place("/t")).ok()
    victims = [p for p in sorted(entries(src)) if p.endswith((b"7", b"8"))]
    for path in victims:
        full = os.path.join(os.fsencode(src), path)
        if os.path.islink(full):
            os.unlink(full)
            os.symlink(b"changed", full)
        elif os.path.isfile(full):
            write(full, b"changed" * random.Random(4).randrange(20000), 0o600)
    expect(len(victims) > 5, f"{victims}")
    e.copy(src, e.place("/t"), "--workers", "3").ok()
    e.copy(e.place("/t"), e.path("out")).ok()
    same(src, e.path("out"))
    e.copy(e.place("/t"), e.path("out")).ok()  # over the host's as well
    same(src, e.path("out"))


@suite.test
def test_large_and_sparse(e):
    os.mkdir(e.path("src"))
    write(e.path("src/large"), random.Random(5).randbytes(40 * MIB))
    with open(e.path("src/sparse"), "wb") as f:
        f.write(b"begin")
        f.seek(30 * MIB)
        f.write(b"middle")
        f.truncate(64 * MIB)
    with open(e.path("src/all hole"), "wb") as f:
        f.truncate(5 * MIB + 3)
    write(e.path("src/empty"), b"")
    e.copy(e.path("src"), e.place("/t")).ok()
    e.copy(e.place("/t"), e.path("out")).ok()
    same(e.path("src"), e.path("out"))
    expect(os.stat(e.path("out/sparse")).st_blocks * 512 < 8 * MIB, "the hole was filled")


@suite.test
def test_many_small_files(e):
    os.mkdir(e.path("src"))
    for d in range(60):
        os.mkdir(e.path(f"src/{d}"))
        for i in range(20):
            write(e.path(f"src/{d}/{i}"), b"%d %d" % (d, i))
    e.copy(e.path("src"), e.place("/t"), "--workers", "32").ok()
    e.copy(e.place("/t"), e.path("out")).ok()
    expect(same(e.path("src"), e.path("out")) == 1260, "entries")


@suite.test
def test_few_descriptors(e):
    """CPY-5: a wide tree with hardly any descriptors to have."""
    os.mkdir(e.path("src"))
    for d in range(300):
        os.makedirs(e.path(f"src/{d}/below"))
        write(e.path(f"src/{d}/below/f"), b"x")
    argv = ["sh", "-c", 'ulimit -n 128 && exec "$@"', "sh", e.programs["daos"], "fs", "copy", "--src", e.path("src"), "--dst",
            e.path("out")]
    Done(argv, subprocess.run(argv, env=e.env, capture_output=True, text=True, timeout=DEADLINE_S)).ok()
    same(e.path("src"), e.path("out"))


@suite.test
def test_one_file_or_link(e):
    write(e.path("one"), b"content", 0o640, 12345)
    e.copy(e.path("one"), e.place("/copy")).ok()
    e.copy(e.path("one"), e.place()).ok()  # into a directory
    e.copy(e.place("/copy"), e.path("back")).ok()
    e.copy(e.place("/one"), e.path("back2")).ok()
    for name in ("back", "back2"):
        st = os.stat(e.path(name))
        with open(e.path(name), "rb") as f:
            expect(f.read() == b"content", name)
        expect(stat.S_IMODE(st.st_mode) == 0o640 and st.st_mtime_ns == 12345, f"{name}: {st}")


def top_of(path):
    st = os.stat(path)
    return stat.S_IMODE(st.st_mode), st.st_mtime_ns


@suite.test
def test_top_directory(e):
    """CPY-3 for the top: also over a directory that is there, and over the root of a container."""
    for name, mode, ns in (("a", 0o1750, 123456789), ("b", 0o2705, 10**18 + 7)):
        os.mkdir(e.path(name))
        write(e.path(name + "/f"), name.encode())
        os.chmod(e.path(name), mode)
        os.utime(e.path(name), ns=(ns, ns))
    for dst, out in ((e.place("/t"), "out"), ("daos://tank/root", "out root")):
        e.copy(e.path("a"), dst).ok()
        e.copy(dst, e.path(out)).ok()
        expect(top_of(e.path(out)) == (0o1750, 123456789), f"{out}: {top_of(e.path(out))}")
        e.copy(e.path("b"), dst).ok()  # it is there, and so is the other
        e.copy(dst, e.path(out)).ok()
        expect(top_of(e.path(out)) == (0o2705, 10**18 + 7), f"{out} over what is there: {top_of(e.path(out))}")
    os.mkdir(e.path("made"), 0o700)
    e.copy(e.path("a"), e.path("made")).ok()
    expect(top_of(e.path("made")) == (0o1750, 123456789), "on the host")


def as_nobody(e, *args):
    argv = [e.programs["daos"], *args]
    try:
        return Done(["daos", *args], subprocess.run(argv, env=e.env, capture_output=True, text=True, timeout=DEADLINE_S, user=65534,
                                                    group=65534, extra_groups=[]))
    except PermissionError:
        raise Skip("another user may not run the programs of this build") from None


@suite.test
def test_owners(e):
    """CPY-2: numbers of owner and group, of everything; who is not the superuser owns what he copies."""
    if os.geteuid() != 0:
        raise Skip("only the superuser may give files away")
    os.makedirs(e.path("src/d"))
    write(e.path("src/f"), b"f", 0o4755)
    write(e.path("src/d/g"), b"")
    os.symlink("f", e.path("src/link"))
    for i, name in enumerate(("src", "src/d", "src/f", "src/d/g", "src/link")):
        os.chown(e.path(name), 1000 + i, 2000 + i, follow_symlinks=False)
    os.chmod(e.path("src/f"), 0o4755)

    def owners(top):
        found = {}
        for name in ("", "/d", "/f", "/d/g", "/link"):
            st = os.lstat(top + name)
            found[name] = (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode))
        return found

    want = owners(e.path("src"))
    expect(want["/f"] == (1002, 2002, 0o4755), "as made")
    e.copy(e.path("src"), e.place("/t")).ok()
    e.copy(e.place("/t"), "daos://tank/other/t").ok()
    e.copy("daos://tank/other/t", e.path("out")).ok()
    expect(owners(e.path("out")) == want, f"{owners(e.path('out'))}")
    e.copy(e.path("src"), e.path("out2")).ok()
    expect(owners(e.path("out2")) == want, f"on the host: {owners(e.path('out2'))}")
    e.copy("daos://tank/other/t/f", e.path("one")).ok()
    expect(os.stat(e.path("one")).st_uid == 1002, "of a single file")
    os.chmod(e.dir, 0o755)
    os.mkdir(e.path("theirs"))
    os.chown(e.path("theirs"), 65534, 65534)
    as_nobody(e, "fs", "copy", "--src", e.path("src"), "--dst", e.path("theirs/copy")).ok()
    expect({v[:2] for v in owners(e.path("theirs/copy")).values()} == {(65534, 65534)}, f"{owners(e.path('theirs/copy'))}")
    os.mkdir(e.path("public"))
    os.chmod(e.path("public"), 0o777)
    text = as_nobody(e, "fs", "copy", "--src", e.path("src/d"), "--dst", e.path("public")).ok().out
    expect(os.path.exists(e.path("public/g")) and stat.S_IMODE(os.stat(e.path("public")).st_mode) == 0o777, "somebody else's top stays")
    expect("1 owners or extended attributes were left out" in text, text)


@suite.test
def test_extended_attributes(e):
    os.makedirs(e.path("src/d"))
    write(e.path("src/f"), b"f", 0o400)
    write(e.path("src/plain"), b"")
    try:
        os.setxattr(e.path("src/f"), "user.a", b"1")
    except OSError:
        raise Skip("the file system of the tests has no extended attributes") from None
    values = {"src": {"user.top": b"t"}, "src/d": {"user.of a dir": b"\0\1\xff" * 100},
              "src/f": {"user.a": b"1", "user.long": b"x" * 3000, "user." + "n" * 200: b"n"}, "src/plain": {}}
    for name, attrs in values.items():
        for key, value in attrs.items():
            os.setxattr(e.path(name), key, value)

    def got(top):
        return {name: {k: os.getxattr(top + name[3:], k) for k in os.listxattr(top + name[3:]) if k.startswith("user.")} for name in values}

    expect(got(e.path("src")) == values, "as made")
    e.copy(e.path("src"), e.place("/t")).ok()
    e.copy(e.place("/t"), "daos://tank/other/t").ok()
    answer = e.daos("-j", "fs", "copy", "--src", "daos://tank/other/t", "--dst", e.path("out")).response()
    expect(answer["attributes_left"] == 0, f"{answer}")
    expect(got(e.path("out")) == values, f"{got(e.path('out'))}")
    e.copy(e.path("src"), e.path("out2")).ok()
    expect(got(e.path("out2")) == values, "on the host")
    os.setxattr(e.path("src/f"), "user.a", b"2")  # over what is there
    os.removexattr(e.path("src/f"), "user.long")
    e.copy(e.path("src"), e.place("/t")).ok()
    e.copy(e.place("/t"), e.path("out")).ok()
    expect(got(e.path("out"))["src/f"]["user.a"] == b"2", "the new value")
    expect(got(e.path("out"))["src/f"]["user.long"] == b"x" * 3000, "what only the copy has stays")
    os.setxattr(e.path("src/plain"), "user.empty", b"")
    text = e.copy(e.path("src"), e.place("/t")).ok().out
    expect("1 owners or extended attributes were left out" in text, text)


@suite.test
def test_hard_links(e):
    """CPY-4: further names of a file become files, and are counted."""
    os.makedirs(e.path("src/d"))
    write(e.path("src/a"), b"one")
    write(e.path("src/alone"), b"other")
    for name in ("src/b", "src/d/c"):
        os.link(e.path("src/a"), e.path(name))
    os.link(e.path("src/alone"), e.path("outside"))  # its other name is not part of the tree
    answer = e.daos("-j", "fs", "copy", "--src", e.path("src"), "--dst", e.place("/t")).response()
    expect(answer["hard_links_as_files"] == 2 and answer["copy_stats"]["num_files"] == 4, f"{answer}")
    text = e.copy(e.path("src"), e.place("/u")).ok().out
    expect(text.splitlines()[1:] == ["2 hard links were copied as files of their own"], text)
    text = e.copy(e.place("/t"), e.path("out")).ok().out
    expect(text.count("\n") == 1, f"none here: {text}")
    same(e.path("src"), e.path("out"))
    expect(len({os.stat(e.path("out/" + n)).st_ino for n in ("a", "b", "d/c")}) == 3, "files of their own")


@suite.test
def test_progress(e):
    src = tree_make(e.path("src"), seed=6)
    total = sum(len(w) for m, _, w in entries(src).values() if stat.S_ISREG(m))
    done = e.copy(src, e.place("/t"), "--progress", "lines").ok()
    lines = [dict((k, int(v)) for k, v in (w.split("=") for w in line.split()[1:])) for line in done.err.splitlines()]
    expect(len(lines) >= 2 and all(p["bytes_total"] == total and p["files_total"] == 126 for p in lines), f"{lines[:3]}")
    expect([p["bytes"] for p in lines] == sorted(p["bytes"] for p in lines), "bytes go back")
    expect(lines[-1]["bytes"] == total and lines[-1]["files"] == 126, f"{lines[-1]}")
    done = e.copy(src, e.place("/u"), "--progress", "bar").ok()
    expect("100%" in done.err and "126 of 126 files" in done.err, done.err[-200:])
    expect(e.copy(src, e.place("/v")).ok().err == "", "no progress where nobody looks")


@suite.test
def test_what_is_left_out(e):
    os.mkdir(e.path("src"))
    os.mkfifo(e.path("src/pipe"))
    write(e.path("src/f"), b"x")
    done = e.daos("-j", "fs", "copy", "--src", e.path("src"), "--dst", e.place("/t"))
    expect(done.response()["copy_stats"]["fs_skipped"] == 1, done.text())
    expect("left out" in done.err and "pipe" in done.err, done.text())


@suite.test
def test_source_that_cannot_be_read(e):
    e.copy("/proc/self/mem", e.place("/mem")).fails("cannot read /proc/", "Input/output error")
    if os.geteuid() != 0:  # root reads everything
        os.mkdir(e.path("src"))
        write(e.path("src/secret"), b"x", 0o000)
        e.copy(e.path("src"), e.place("/t")).fails("cannot open", "secret", "Permission denied")
    e.copy(e.path("none"), "daos://tank/fresh/t").fails("none", "No such file or directory")
    expect("fresh" not in e.daos("cont", "list", "tank").ok().out, "a container was made for nothing")
    e.copy(e.place("/none"), e.path("t")).fails("/none", "No such file or directory")


@suite.test
def test_types_in_the_way(e):
    os.makedirs(e.path("a/x"))
    os.mkdir(e.path("b"))
    write(e.path("b/x"), b"file")
    e.copy(e.path("a"), e.place("/t")).ok()
    e.copy(e.path("b"), e.place("/t")).fails("cannot make the copy of", "x", "Is a directory")
    e.copy(e.path("b"), e.place("/u")).ok()
    e.copy(e.path("a"), e.place("/u")).fails("cannot open the copy of", "x", "Not a directory")
    e.copy(e.path("b"), e.place("/u/x")).fails("cannot make", "Not a directory")


@suite.test
def test_bad_arguments(e):
    write(e.path("f"), b"")
    e.daos("fs", "copy").fails("--src=PLACE", "DER_INVAL")
    e.copy("daos://tank", e.path("x")).fails("daos://POOL/CONTAINER")
    e.copy("daos://none/c", e.path("x")).fails("pool none", "`daos pool list`", "DER_NONEXIST")
    e.copy("daos://tank/none", e.path("x")).fails("container none", "DER_NONEXIST")
    e.copy(e.path("f"), "daos://tank/" + "c" * 200).fails("too long")
    e.copy(e.path("f"), e.place("/f"), "--workers", "0").fails("--workers 0")
    e.copy(e.path("f"), e.place("/f"), "--workers", "1x").fails("--workers 1x")
    e.copy(e.path("f"), e.place("/f"), "--progress", "loud").fails("bar or lines")
    e.copy(e.path("f"), e.place("/f"), "--preserve-props").fails("DER_NOSYS")
    e.copy(e.path("f"), e.place("/f"), "more").fails("one argument too many")
    e.daos("cont", "create", "tank", "plain").ok()
    e.copy(e.path("f"), "daos://tank/plain/f").fails("holds no file system", "--type POSIX")
    os.mkdir(e.path("d"))
    e.copy(e.path("d"), e.path("d/inside")).fails("inside the source")
    e.copy(e.place(), e.place("/inside")).fails("inside the source")
    e.copy(e.place(), e.path("x")).fails("container tree", "DER_NONEXIST")  # it is not there yet
    e.copy(e.path("d"), e.place("/d")).ok()
    e.copy(e.place("/d"), e.place("/d/e")).fails("inside the source")
    answer = e.daos("-j", "fs", "copy", "--src", e.path("none"), "--dst", e.place("/t")).json()
    expect(answer["status"] == -1005 and "none" in answer["error"] and answer["response"] is None, f"{answer}")


@suite.test
def test_killed_and_run_again(e):
    src = tree_make(e.path("src"), seed=7, files=400)
    rng = random.Random(8)
    e.daos("cont", "create", "tank", "tree", "--type", "POSIX").ok()
    for _ in range(4):
        argv = [e.programs["daos"], "fs", "copy", "--src", src, "--dst", e.place("/t"), "--progress", "lines"]
        proc = subprocess.Popen(argv, env=e.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        at = rng.uniform(5, 90)
        for line in proc.stderr:
            p = dict((k, int(v)) for k, v in (w.split("=") for w in line.split()[1:]))
            if 100 * p["bytes"] >= at * p["bytes_total"]:
                break
        proc.kill()
        proc.stderr.read()
        proc.wait()
    e.copy(src, e.place("/t")).ok()
    e.copy(e.place("/t"), e.path("out")).ok()
    same(src, e.path("out"))
    expect(top_of(src) == top_of(e.path("out")), "the top is as if there had been no interruption")


@suite.test
def test_destination_full(e):
    os.mkdir(e.path("src"))
    for i in range(60):
        write(e.path(f"src/{i}"), random.Random(i).randbytes(4 * MIB))
    e.daos("cont", "create", "tank", "tree", "--type", "POSIX").ok()
    done = e.copy(e.path("src"), e.place("/t")).fails("cannot", "No space left on device", "`daos pool query`", "DER_NOSPACE")
    expect("write the copy of" in done.err or "make the copy of" in done.err, done.err)
    # what fits is still there and can be read; removing the rest makes room
    e.copy(e.place("/t"), e.path("out")).ok()
    whole = [n for n in os.listdir(e.path("out")) if os.stat(e.path(f"out/{n}")).st_size == 4 * MIB]
    expect(len(whole) > 0, "nothing was copied")
    for name in whole:
        st = os.stat(e.path(f"out/{name}"))
        if stat.S_IMODE(st.st_mode) == 0o644:  # CPY-2: complete
            with open(e.path(f"out/{name}"), "rb") as f:
                expect(f.read() == random.Random(int(name)).randbytes(4 * MIB), f"{name} differs")


def main():
    programs = Programs(sys.argv[1])
    small = ("destination_full",)
    names = sys.argv[2:]
    wide = [fn.__name__.removeprefix("test_") for fn in suite.tests if fn.__name__.removeprefix("test_") not in small]
    rc = 0
    reason = "an engine in the process, on real files"
    chosen = [n for n in wide if not names or n in names]
    if chosen:
        rc |= suite.run(lambda folder: Embedded(programs, folder).start(), chosen, reason)
    chosen = [n for n in small if not names or n in names]
    if chosen:
        rc |= suite.run(lambda folder: Embedded(programs, folder, "64MiB", "160MiB").start(), chosen, reason)
    return rc


if __name__ == "__main__":
    sys.exit(main())
