#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause-Patent
# A checker that never failed proves nothing (SM-3): every planted bug must make a crash sweep fail.
#
# usage: test/crash/run_bugs.sh [PATCH ...]      default: all of test/crash/bugs/
#
# The source tree is copied, the sweeps are built there and must pass; then each patch is applied (-p1, from the root of the tree),
# the sweeps are built and run until one fails, and the patch is taken back. A patch that does not apply or does not build fails.
# Prints harness lines, `ok crash.bug.<name> <ms>`. SWEEPS="..." names the sweeps to use, BUGS_DIR a directory to work in.
set -u

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
sweeps=${SWEEPS:-$(cd "$here" && ls ./*_sweep_test.c | sed 's|^\./||; s|\.c$||')}
work=${BUGS_DIR:-$(mktemp -d "${TMPDIR:-/tmp}/cairn-bugs.XXXXXX")}
tree=$work/tree
build=$work/build
failed=0

now_ms() { date +%s%3N; }

report() { # ok|FAIL name start reason
    echo "$1 crash.bug.$2 $(($(now_ms) - $3))${4:+ $4}"
    [ "$1" = ok ] || failed=1
}

build_sweeps() {
    targets=
    for sweep in $sweeps; do
        targets="$targets test/crash/$sweep"
    done
    # shellcheck disable=SC2086
    ninja -C "$build" -j2 $targets >"$work/build.log" 2>&1
}

# 0: a sweep failed, as it should; $caught names it
run_sweeps() {
    for sweep in $sweeps; do
        if ! timeout 600 "$build/test/crash/$sweep" "$@" >"$work/run.log" 2>&1; then
            caught=$sweep
            return 0
        fi
    done
    return 1
}

cleanup() {
    [ -n "${BUGS_DIR:-}" ] || rm -rf "$work"
}
trap cleanup EXIT

[ $# -gt 0 ] || set -- "$here"/bugs/*.patch

start=$(now_ms)
rm -rf "$tree" "$build"
mkdir -p "$tree"
(cd "$root" && tar -cf - --exclude=./.git --exclude=./build --exclude='./build-*' .) | tar -xf - -C "$tree"
if ! meson setup "$build" "$tree" --buildtype=debugoptimized >"$work/setup.log" 2>&1 || ! build_sweeps; then
    cat "$work/setup.log" "$work/build.log" >&2
    report FAIL none "$start" "the sweeps do not build"
    exit 1
fi
if run_sweeps; then
    cat "$work/run.log" >&2
    report FAIL none "$start" "$caught fails without any bug"
    exit 1
fi
report ok none "$start"

for patch_file in "$@"; do
    name=$(basename "$patch_file" .patch)
    start=$(now_ms)
    case $patch_file in
    /*) ;;
    *) patch_file=$PWD/$patch_file ;;
    esac
    if ! (cd "$tree" && patch -s -p1 --no-backup-if-mismatch <"$patch_file") >"$work/patch.log" 2>&1; then
        cat "$work/patch.log" >&2
        report FAIL "$name" "$start" "the patch does not apply"
        exit 1
    fi
    if ! build_sweeps; then
        cat "$work/build.log" >&2
        report FAIL "$name" "$start" "does not build with the patch"
    elif run_sweeps; then
        report ok "$name" "$start" "caught by $caught"
    else
        report FAIL "$name" "$start" "no sweep noticed"
    fi
    (cd "$tree" && patch -s -R -p1 --no-backup-if-mismatch <"$patch_file") || exit 1
done
exit $failed
