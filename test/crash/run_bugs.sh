#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause-Patent
# A checker that never failed proves nothing (SM-3): every planted bug must make a crash sweep fail.
#
# usage: test/crash/run_bugs.sh [PATCH ...]      default: all of test/crash/bugs/
#
# A patch names the sweep that must catch it (`Sweep: bio_sweep_test` above its first hunk); without that line any may.
# SWEEPS="..." names the sweeps to build. See test/tools/bugs.sh.
set -u

here=$(cd "$(dirname "$0")" && pwd)
export kind=crash
sweeps=${SWEEPS:-$(cd "$here" && ls ./*_sweep_test.c | sed 's|^\./||; s|\.c$||')}
. "$here/../tools/bugs.sh"

checker_build() {
    targets=
    for sweep in $sweeps; do
        targets="$targets test/crash/$sweep"
    done
    # shellcheck disable=SC2086
    ninja -C "$build" -j2 $targets
}

# 0: one of the given sweeps fails, and $sweep names it
some_sweep_fails() {
    for sweep in "$@"; do
        timeout 600 "$build/test/crash/$sweep" >"$work/run.log" 2>&1 || return 0
    done
    return 1
}

checker_passes() {
    said=
    # shellcheck disable=SC2086
    some_sweep_fails $sweeps || return 0
    said="$sweep fails without any bug"
    return 1
}

checker_catches() { # patch
    meant=$(sed -n 's/^Sweep: //p' "$1")
    if [ -n "$meant" ] && [ ! -x "$build/test/crash/$meant" ]; then
        said="there is no sweep $meant"
        return 1
    fi
    said="${meant:-no sweep} did not notice"
    # shellcheck disable=SC2086
    some_sweep_fails ${meant:-$sweeps} && said="caught by $sweep"
}

bugs_main "$@"
