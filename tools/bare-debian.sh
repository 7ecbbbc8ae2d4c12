#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause-Patent
# Prove the dependency list: run the README's commands on a bare Debian 12 tree (debootstrap, minbase) in a chroot, on a
# copy of HEAD. A developer's machine has more installed than a user's; this one has `make`, and nothing else.
#
# Needs root, debootstrap, about 3 GB and a Debian mirror, which is taken from this machine's apt sources.
#
# usage: tools/bare-debian.sh [--keep] [DIR] [-- COMMAND ...]
#   DIR      where to put the tree (default: a new directory below ${TMPDIR:-/var/tmp}); kept and used again with --keep
#   COMMAND  what to run instead of: make demo && make check && make demo
set -euo pipefail
cd "$(dirname "$0")/.."

keep=0
dir=
command="make demo && make check && make demo"
while [ $# -gt 0 ]; do
    case $1 in
    --keep) keep=1 ;;
    --) shift; command="$*"; break ;;
    *) dir=$1 ;;
    esac
    shift
done

[ "$(id -u)" -eq 0 ] || { echo "tools/bare-debian.sh: chroot needs root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "tools/bare-debian.sh: apt-get install debootstrap" >&2; exit 1; }

# The apt sources of this machine that serve Debian 12, in both formats; others (vendors') are left out.
sources() {
    python3 - <<'PY'
import glob
suites = ('bookworm', 'bookworm-updates', 'bookworm-security')
out = []
for name in ['/etc/apt/sources.list'] + sorted(glob.glob('/etc/apt/sources.list.d/*.list')):
    try:
        lines = open(name, encoding='utf-8').read().splitlines()
    except OSError:
        continue
    for line in lines:
        words = [w for w in line.split('#')[0].split() if not (w.startswith('[') or w.endswith(']'))]
        if len(words) >= 4 and words[0] == 'deb' and words[2] in suites and 'main' in words[3:]:
            out.append('deb %s %s main' % (words[1], words[2]))
for name in sorted(glob.glob('/etc/apt/sources.list.d/*.sources')):
    for block in open(name, encoding='utf-8').read().split('\n\n'):
        f = {}
        for line in block.splitlines():
            key, sep, value = line.partition(':')
            if sep and not line.startswith('#'):
                f[key.strip().lower()] = value.split()
        if 'deb' not in f.get('types', []) or 'main' not in f.get('components', []):
            continue
        out += ['deb %s %s main' % (u, s) for u in f.get('uris', []) for s in f.get('suites', []) if s in suites]
print('\n'.join(dict.fromkeys(out)))
PY
}

list=$(sources)
mirror=$(echo "$list" | awk '$3 == "bookworm" { print $2; exit }')
[ -n "$mirror" ] || { echo "tools/bare-debian.sh: no source of Debian 12 (bookworm) in /etc/apt" >&2; exit 1; }

[ -n "$dir" ] || dir=$(mktemp -d "${TMPDIR:-/var/tmp}/cairn-bare-XXXXXX")
mounts=
cleanup() {
    for m in $mounts; do
        umount "$m" || true
    done
    if [ $keep -eq 0 ] && ! mount | grep -q " $dir/"; then
        rm -rf --one-file-system "$dir"
    fi
}
trap cleanup EXIT

if [ ! -x "$dir/usr/bin/apt-get" ]; then
    echo "== debootstrap into $dir"
    debootstrap --variant=minbase bookworm "$dir" "$mirror" >"$dir.log" 2>&1 || { tail -n 20 "$dir.log"; exit 1; }
    rm -f "$dir.log"
fi
echo "$list" >"$dir/etc/apt/sources.list"
# How this machine reaches its mirror: name servers, proxy settings, certificates.
cp -L /etc/resolv.conf /etc/hosts "$dir/etc/"
for f in /etc/apt/apt.conf.d/*proxy* /etc/apt/apt.conf; do
    [ -f "$f" ] && cp "$f" "$dir/etc/apt/apt.conf.d/"
done

mkdir -p "$dir/proc" "$dir/dev/shm" "$dir/src"
if mount -t proc proc "$dir/proc" 2>/dev/null || mount --bind /proc "$dir/proc"; then
    mounts="$dir/proc $mounts"
fi
if mount --rbind /dev "$dir/dev" 2>/dev/null; then
    mount --make-rslave "$dir/dev"
    mounts="$(mount | awk -v d="$dir/dev" 'index($3, d) == 1 { print $3 }' | sort -r | tr '\n' ' ') $mounts"
fi

rm -rf "$dir/src/cairn"
mkdir -p "$dir/src/cairn"
git archive HEAD | tar -x -C "$dir/src/cairn"
in_chroot() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/src LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive CI=true \
        chroot "$dir" bash -c "$1" </dev/null
}
# To get the source, a user has installed git and make.
in_chroot 'command -v make >/dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends make; }' \
    >/dev/null
echo "== in the bare tree: $command"
in_chroot "cd /src/cairn && $command"
echo "== the bare tree: passed"
