#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause-Patent
# A checker that never failed proves nothing (SM-3): sim_run must fail with every planted bug, within SEEDS (default 300) seeds.
#
# usage: test/sim/run_bugs.sh [PATCH ...]      default: all of test/sim/bugs/; those of test/crash/bugs/ do, too
#
# The tree without the bug must pass the seed that failed with it, else the run shows something else. A line `# sim_run: OPTIONS` at the
# top of a patch adds options. See test/tools/bugs.sh.
set -u

here=$(cd "$(dirname "$0")" && pwd)
export kind=sim
. "$here/../tools/bugs.sh"

checker_build() {
    ninja -C "$build" -j2 test/sim/sim_run
}

checker_passes() {
    said="40 seeds pass"
    cp "$build/test/sim/sim_run" "$work/sim_run_clean"
    "$work/sim_run_clean" --seeds 40 --fails 1 --twice-every 0 >"$work/run.log" 2>&1 && return 0
    said="sim_run fails without any bug"
    return 1
}

checker_catches() {
    options=$(sed -n 's/^# sim_run: //p' "$1")
    said="no seed of ${SEEDS:-300} noticed"
    # shellcheck disable=SC2086
    "$build/test/sim/sim_run" --seeds "${SEEDS:-300}" --fails 1 --twice-every 0 $options >"$work/run.log" 2>&1 && return 1
    seed=$(sed -n 's/^# seed \([0-9]*\) failed.*/\1/p' "$work/run.log" | head -n 1)
    # shellcheck disable=SC2086
    if ! "$work/sim_run_clean" --seed "$seed" --twice-every 0 $options >"$work/clean.log" 2>&1; then
        cat "$work/clean.log" >&2
        said="the seed that fails with it fails without it, too"
        return 1
    fi
    said=$(grep -A1 '^# seed' "$work/run.log" | tr '\n' ' ' | cut -c1-160)
}

bugs_main "$@"
