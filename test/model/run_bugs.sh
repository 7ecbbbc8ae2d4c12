#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause-Patent
# A checker that never failed proves nothing: every planted bug must make the reference model, or the matrix of operations at given epochs, disagree with the store.
#
# usage: test/model/run_bugs.sh [PATCH ...]      default: all of test/model/bugs/
#
# See test/tools/bugs.sh.
set -u

here=$(cd "$(dirname "$0")" && pwd)
export kind=model
. "$here/../tools/bugs.sh"

checker_build() {
    ninja -C "$build" -j2 test/model/vos_model_test src/vos/test/vos_matrix_test
}

# Three seeds: some bugs show only in one of some ten lives of a store.
model_runs() {
    timeout 100 "$build/src/vos/test/vos_matrix_test" >"$work/run.log" 2>&1 || return 1
    for seed in 1 2 3; do
        CAIRN_MODEL_NO_SHRINK=1 timeout 300 "$build/test/model/vos_model_test" --seed $seed release_ >"$work/run.log" 2>&1 ||
            return 1
    done
}

checker_passes() {
    said=
    model_runs && return 0
    said="the model disagrees without any bug"
    return 1
}

checker_catches() {
    said="the model noticed nothing"
    model_runs && return 1
    said="caught: $(sed -n 's/^    \(operation .*\|.*, then .*\|.*expected.*\)/\1/p' "$work/run.log" | head -n 1)"
}

bugs_main "$@"
