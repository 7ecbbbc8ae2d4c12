#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause-Patent
# make coverage: what the tests of vos and bio reach of them, by gcov: a table of lines and branches for each file, those of asserts left out.
# Runs what `make check` runs of both components (also with little memory, on tmpfs, devices, persistent memory), of the reference model, the crash sweeps, ddb, which
# looks at a store through both, and the fuzz targets that read devices, in a build of its own.
#
# usage: tools/coverage.sh [--missing]      --missing: the lines and branches that were not reached, too
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/coverage

[ -f $build/build.ninja ] || meson setup -Db_coverage=true -Doptimization=0 -Ddebug=true -Dfaults=true $build >/dev/null
ninja -C $build build.ninja >/dev/null
find $build -name '*.gcda' -delete
# Each test builds what it needs; who ends adds to the counters, one after the other.
run() {
    meson test -C $build -t 20 --num-processes "$(nproc)" "$@" >$build/coverage.run.log 2>&1 && return
    echo "failed, what they reach may be missing:"
    grep -E ' (FAIL|TIMEOUT|ERROR) |error:' $build/coverage.run.log || tail -n 20 $build/coverage.run.log
}
run --suite vos --suite bio --suite ddb --suite model --suite crash --no-suite long --no-suite release
run fuzz.store fuzz.wal fuzz.dev fuzz.ddb
exec python3 tools/coverage.py "$build" "$@"
