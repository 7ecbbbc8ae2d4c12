# SPDX-License-Identifier: BSD-2-Clause-Patent
# shellcheck shell=sh disable=SC2154
# Sourced by the run_bugs.sh of test/crash and test/sim: what both do with planted bugs.
#
# The source tree is copied and built; the checker must pass there. Then each patch is applied (-p1, from the root of the tree), the
# checker is built and run, must fail, and the patch is taken back. A patch that does not apply or does not build fails. Prints harness
# lines, `ok KIND.bug.<name> <ms> <what caught it>`. BUGS_DIR: a directory to work in, kept.
#
# The script sets `here` (its directory) and `kind`, defines the three functions below, and calls bugs_main "$@" with the patches
# (default: all of $here/bugs).
#   checker_build         build the checker in $build
#   checker_passes        0: it passes the tree without a bug; else $said tells what failed
#   checker_catches PATCH 0: it failed, as it should; $said tells what caught the bug, or why nothing did

bugs_failed=0

now_ms() { date +%s%3N; }

bugs_report() { # ok|FAIL name start reason
    echo "$1 $kind.bug.$2 $(($(now_ms) - $3))${4:+ $4}"
    [ "$1" = ok ] || bugs_failed=1
}

bugs_cleanup() {
    [ -n "${BUGS_DIR:-}" ] || rm -rf "$work"
}

bugs_tree() {
    rm -rf "$tree" "$build"
    mkdir -p "$tree"
    (cd "$here/../.." && tar -cf - --exclude=./.git --exclude=./build --exclude='./build-*' .) | tar -xf - -C "$tree"
    meson setup "$build" "$tree" --buildtype=debugoptimized >"$work/build.log" 2>&1 && checker_build >>"$work/build.log" 2>&1
}

bugs_one() { # patch
    name=$(basename "$1" .patch)
    start=$(now_ms)
    if ! (cd "$tree" && patch -s -p1 --no-backup-if-mismatch <"$1") >"$work/patch.log" 2>&1; then
        cat "$work/patch.log" >&2
        bugs_report FAIL "$name" "$start" "the patch does not apply"
        exit 1
    fi
    if ! checker_build >"$work/build.log" 2>&1; then
        cat "$work/build.log" >&2
        bugs_report FAIL "$name" "$start" "does not build with the patch"
    elif checker_catches "$1"; then
        bugs_report ok "$name" "$start" "$said"
    else
        bugs_report FAIL "$name" "$start" "$said"
    fi
    (cd "$tree" && patch -s -R -p1 --no-backup-if-mismatch <"$1") || exit 1
}

bugs_main() {
    work=${BUGS_DIR:-$(mktemp -d "${TMPDIR:-/tmp}/cairn-bugs.XXXXXX")}
    tree=$work/tree
    build=$work/build
    trap bugs_cleanup EXIT
    [ $# -gt 0 ] || set -- "$here"/bugs/*.patch
    start=$(now_ms)
    if ! bugs_tree; then
        cat "$work/build.log" >&2
        bugs_report FAIL none "$start" "the checker does not build"
        exit 1
    fi
    if ! checker_passes; then
        cat "$work/run.log" >&2
        bugs_report FAIL none "$start" "$said"
        exit 1
    fi
    bugs_report ok none "$start" "$said"
    for patch_file in "$@"; do
        case $patch_file in
        /*) bugs_one "$patch_file" ;;
        *) bugs_one "$PWD/$patch_file" ;;
        esac
    done
    exit $bugs_failed
}
