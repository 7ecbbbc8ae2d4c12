#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause-Patent
# A checker that never failed proves nothing: every planted bug must make the tests of groups of Raft fail.
#
# usage: test/raft/run_bugs.sh [PATCH ...]      default: all of test/raft/bugs/
#
# See test/tools/bugs.sh.
set -u

here=$(cd "$(dirname "$0")" && pwd)
export kind=raft
. "$here/../tools/bugs.sh"

checker_build() {
    ninja -C "$build" -j2 src/raft/test/raft_group_test
}

group_runs() {
    RAFT_SEED=1 RAFT_SEEDS=60 timeout 600 "$build/src/raft/test/raft_group_test" >"$work/run.log" 2>&1
}

checker_passes() {
    said=
    group_runs && return 0
    said="a test fails without any bug"
    return 1
}

checker_catches() {
    said="no test noticed anything"
    group_runs && return 1
    said="caught: $(sed -n 's/^FAIL \([^ ]*\) .*/\1/p' "$work/run.log" | head -n 2 | tr '\n' ' ')"
}

bugs_main "$@"
