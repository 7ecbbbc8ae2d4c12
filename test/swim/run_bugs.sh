#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause-Patent
# A checker that never failed proves nothing: every planted bug must make the simulation of the failure detector fail.
#
# usage: test/swim/run_bugs.sh [PATCH ...]      default: all of test/swim/bugs/
#
# See test/tools/bugs.sh.
set -u

here=$(cd "$(dirname "$0")" && pwd)
export kind=swim
. "$here/../tools/bugs.sh"

checker_build() {
    ninja -C "$build" -j2 test/swim/swim_sim_test
}

# Three seeds: some bugs need a rare meeting of loss and pause.
sim_runs() {
    for seed in 1 2 3; do
        timeout 300 "$build/test/swim/swim_sim_test" --seed $seed short_ >"$work/run.log" 2>&1 || return 1
    done
}

checker_passes() {
    said=
    sim_runs && return 0
    said="the simulation fails without any bug"
    return 1
}

checker_catches() {
    said="the simulation noticed nothing"
    sim_runs && return 1
    said="caught: seed $seed, $(sed -n 's/^FAIL swim_sim\.\([a-z0-9_]*\) .*/\1/p' "$work/run.log" | tr '\n' ' ')"
}

bugs_main "$@"
