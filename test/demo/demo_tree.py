#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A small tree with everything that a copy can get wrong: odd names, links, empty directories, modes, times, holes, and sizes around the borders.

usage: demo_tree.py DIR [FILES]      (about 300 files and one of 20 MB; the same for every run)
"""
import os
import random
import sys

ODD_NAMES = ["with space", "tab\there", "new\nline", "-dash", "--", "...", "quote'\"", "back\\slash", "star*?[x]", "ümläut", "日本語", "\x01ctrl",
             "a" * 255, "%s%n", "$HOME", "a:b", "trailing.", " lead"]
SIZES = [0, 1, 2, 511, 512, 513, 4095, 4096, 4097, 8191, 32767, 32768, 65537, 262143, 1048575, 1048576, 1048577]


def put(path, data, rng, mode=None):
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, rng.choice([0o644, 0o600, 0o444, 0o755, 0o640]) if mode is None else mode)


def main():
    top, nr = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 300
    rng = random.Random(1)
    os.makedirs(top)
    dirs = [top]
    for i in range(max(4, nr // 10)):
        dirs.append(os.path.join(rng.choice(dirs), f"d{i}"))
        os.mkdir(dirs[-1])
    for i, name in enumerate(ODD_NAMES):
        put(os.path.join(top, name), name.encode() * i, rng)
        os.mkdir(os.path.join(dirs[1], name))
        os.symlink(name, os.path.join(dirs[2], name))
    for size in SIZES:
        put(os.path.join(dirs[3], f"size{size}"), rng.randbytes(size), rng)
    for i in range(nr):
        put(os.path.join(rng.choice(dirs), f"f{i}"), rng.randbytes(rng.randrange(0, 20000)), rng)
    put(os.path.join(top, "big"), rng.randbytes(20 * 1000 * 1000), rng, 0o644)
    with open(os.path.join(top, "holes"), "wb") as f:
        f.seek(3 << 20)
        f.write(b"end")
        f.truncate(5 << 20)
    for mode in (0o4755, 0o2755, 0o1777, 0o700):
        put(os.path.join(dirs[3], f"mode{mode:o}"), b"x", rng, mode)
    for mode in (0o1777, 0o2755, 0o700, 0o555):
        os.mkdir(os.path.join(dirs[3], f"dir{mode:o}"))
        os.chmod(os.path.join(dirs[3], f"dir{mode:o}"), mode)
    os.symlink("nowhere", os.path.join(top, "dangling"))
    os.symlink("/etc/hostname", os.path.join(top, "absolute"))
    os.symlink("..", os.path.join(dirs[1], "up"))
    os.symlink("x" * 4000, os.path.join(top, "long"))
    deep = top
    for i in range(40):
        deep = os.path.join(deep, f"deep{i}")
    os.makedirs(deep)
    put(os.path.join(deep, "bottom"), b"here", rng)
    # Times last: of everything, to the nanosecond, before and after 1970, and beyond 2038.
    for root, ds, fs in os.walk(top, topdown=False):
        for name in ds + fs + ["."]:
            ns = rng.choice([rng.randrange(10**18, 17 * 10**17), rng.randrange(0, 10**9), rng.randrange(3 * 10**18, 4 * 10**18)])
            os.utime(os.path.join(root, name), ns=(ns, ns), follow_symlinks=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
