#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause-Patent
# make coverage: what the tests of vos and bio reach of them, by gcov: a table of lines and branches for each file, those of asserts left out.
# Runs the tests of both components, the reference model, the crash sweeps, the tests of ddb, which looks at a store through both, and the fuzz targets that
# read devices, in a build of its own.
#
# usage: tools/coverage.sh [--missing]      --missing: the lines and branches that were not reached, too
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/coverage

[ -f $build/build.ninja ] || meson setup -Db_coverage=true -Doptimization=0 -Ddebug=true -Dfaults=true $build >/dev/null
ninja -C $build build.ninja >/dev/null
find $build -name '*.gcda' -delete
targets=$(ninja -C $build -t targets all | sed -n 's/: .*//p' |
    grep -E '^(src/(vos|bio)/test|test/(model|crash))/[a-z0-9_]+_test$|^test/fuzz/fuzz_(store|wal|dev|ddb)$' | grep -v _long_)
ddb="src/ddb/ddb src/ddb/test/ddb_make"
# shellcheck disable=SC2086
ninja -C $build $targets $ddb >$build/coverage.build.log || { tail -n 20 $build/coverage.build.log; exit 1; }
failed=
for exe in $targets; do
    args=
    case $exe in
    */vos_scrub_sweep_test) ;; # all of it is short
    */vos_model_test | test/crash/*) args=short_ ;;
    test/fuzz/*) args="--mutations 40 test/fuzz/corpus/${exe##*fuzz_}" ;;
    esac
    # shellcheck disable=SC2086
    timeout 900 $build/$exe $args >$build/coverage.run.log 2>&1 || failed="$failed $exe"
done
(cd $build && DDB_FLIPS=5 timeout 900 python3 ../../src/ddb/test/ddb_test.py $ddb files killed tmpfs devices transactions running usage \
    damage deep_damage reach behind log_damage flips) >$build/coverage.run.log 2>&1 || failed="$failed ddb_test.py"
[ -z "$failed" ] || echo "failed, what they reach may be missing:$failed"
exec python3 tools/coverage.py "$build" "$@"
