#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause-Patent
# A checker that never failed proves nothing (SM-3): sim_run must fail with every planted bug, within SEEDS (default 200) seeds.
#
# usage: test/sim/run_bugs.sh [PATCH ...]      default: all of test/sim/bugs/; those of test/crash/bugs/ do, too
#
# The source tree is copied and built; each patch is applied (-p1, from the root of the tree), built, run until a seed fails, and taken
# back. The tree without it must pass that same seed, else the run shows something else than the bug. A line `# sim_run: OPTIONS` at the
# top of a patch adds options. A patch that does not apply or does not build fails. Prints harness lines, `ok sim.bug.<name> <ms> seed ...`.
# BUGS_DIR: a directory to work in.
set -u

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${BUGS_DIR:-$(mktemp -d "${TMPDIR:-/tmp}/cairn-simbugs.XXXXXX")}
tree=$work/tree
build=$work/build
failed=0

now_ms() { date +%s%3N; }

report() { # ok|FAIL name start reason
    echo "$1 sim.bug.$2 $(($(now_ms) - $3)) $4"
    [ "$1" = ok ] || failed=1
}

build_it() {
    ninja -C "$build" -j2 test/sim/sim_run >"$work/build.log" 2>&1
}

# 0: no seed failed
run_it() { # patch
    more=$(sed -n 's/^# sim_run: //p' "$1")
    # shellcheck disable=SC2086
    "$build/test/sim/sim_run" --seeds "${SEEDS:-200}" --fails 1 --twice-every 0 $more >"$work/run.log" 2>&1
}

# The same seed without the patch.
clean_passes() { # patch seed
    # shellcheck disable=SC2046
    "$work/sim_run_clean" --seed "$2" --twice-every 0 $(sed -n 's/^# sim_run: //p' "$1") >"$work/clean.log" 2>&1
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
if ! meson setup "$build" "$tree" --buildtype=debugoptimized >"$work/setup.log" 2>&1 || ! build_it; then
    cat "$work/setup.log" "$work/build.log" >&2
    report FAIL none "$start" "sim_run does not build"
    exit 1
fi
cp "$build/test/sim/sim_run" "$work/sim_run_clean"
if ! "$work/sim_run_clean" --seeds 40 --fails 1 --twice-every 0 >"$work/run.log" 2>&1; then
    cat "$work/run.log" >&2
    report FAIL none "$start" "sim_run fails without any bug"
    exit 1
fi
report ok none "$start" "40 seeds pass"

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
    if ! build_it; then
        cat "$work/build.log" >&2
        report FAIL "$name" "$start" "does not build with the patch"
    elif run_it "$patch_file"; then
        report FAIL "$name" "$start" "no seed of ${SEEDS:-200} noticed"
    elif ! clean_passes "$patch_file" "$(sed -n 's/^# seed \([0-9]*\) failed.*/\1/p' "$work/run.log" | head -n 1)"; then
        cat "$work/clean.log" >&2
        report FAIL "$name" "$start" "the seed that fails with it fails without it, too"
    else
        report ok "$name" "$start" "$(grep -A1 '^# seed' "$work/run.log" | tr '\n' ' ' | cut -c1-160)"
    fi
    (cd "$tree" && patch -s -R -p1 --no-backup-if-mismatch <"$patch_file") || exit 1
done
exit $failed
