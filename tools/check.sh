#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause-Patent
# make check: every test once, in passes; then what was skipped, what runs on linux only, the slowest tests, and as last
# line the sum. Goes on after a failure, so that one run shows all; the exit status tells.
#
#   asan      ASan, UBSan, debug asserts and fault points: all tests but the suites `long` and `nosan`
#   release   release build: the suites `release`, `sim`, `badinput`, `nosan`; then the small demo
#   lint      tools/lint on the release build
#   clang     clang builds everything without a warning
#   long      (--long) release build: all tests, the suite `long` too; base, ult, bio and vos on arm64 (tools/arm64.sh)
#   tsan      (--only tsan) ThreadSanitizer: the suites of what uses OS threads
#
# usage: tools/check.sh [--long | --only PASS]
set -uo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

passes="asan release lint clang"
case "${1:-}" in
"") ;;
--long) passes="asan long release lint clang" ;;
--only) passes=$2 ;;
*) echo "usage: tools/check.sh [--long | --only PASS]" >&2; exit 2 ;;
esac

out=build/check
rm -rf "$out"
mkdir -p "$out"

now_ms() { date +%s%3N; }

# Record one result under the name of a step of this script.
record() { # pass ok|FAIL name start_ms [reason]
    echo "$2 $3 $(($(now_ms) - $4)) ${5:-}" >>"$out/$1.lines"
}

# Configure and build; the log is shown only when it fails.
build() { # dir meson-args...
    local dir=$1 log start
    shift
    log=$out/$(basename "$dir").log
    start=$(now_ms)
    echo "== building $dir"
    # Configure anew what is there, since Meson does not notice a new component; with other options, from nothing.
    local want="$*" how=--reconfigure
    if [ "$(cat "$dir/.cairn-args" 2>/dev/null)" != "$want" ] || [ ! -f "$dir/build.ninja" ]; then
        rm -rf "$dir"
        how=
    fi
    if ! meson setup $how "$@" "$dir" >"$log" 2>&1; then
        tail -n 30 "$log"
        record "$(basename "$dir")" FAIL "check.build_$(basename "$dir")" "$start" "meson setup, see $log"
        return 1
    fi
    echo "$want" >"$dir/.cairn-args"
    if ! ninja -k 20 -C "$dir" >>"$log" 2>&1; then
        grep -E -A12 '^FAILED|error:|undefined reference' "$log" | head -n 60
        record "$(basename "$dir")" FAIL "check.build_$(basename "$dir")" "$start" "see $log"
        return 1
    fi
    record "$(basename "$dir")" ok "check.build_$(basename "$dir")" "$start"
}

# Run Meson tests; their lines are read from the log by check_report.py. What cannot be built fails there, too.
run_tests() { # pass dir meson-test-args...
    local pass=$1 dir=$2
    shift 2
    echo "== testing $pass"
    rm -f "$dir"/meson-logs/testlog*.json
    meson test -C "$dir" --no-rebuild --num-processes "$(nproc)" "$@" >"$out/$pass.meson.log" 2>&1
    if [ -f "$dir/meson-logs/testlog.json" ]; then
        cp "$dir/meson-logs/testlog.json" "$out/$pass.json"
    elif ! grep -q "No suitable tests" "$out/$pass.meson.log"; then
        tail -n 20 "$out/$pass.meson.log"
        record "$pass" FAIL "check.$pass" "$(now_ms)" "meson test wrote no log"
    fi
}

# A command that prints harness lines itself.
run_lines() { # pass name command...
    local pass=$1 name=$2 start rc
    shift 2
    start=$(now_ms)
    echo "== $name"
    "$@" >"$out/$pass.$name.out" 2>"$out/$pass.$name.err"
    rc=$?
    grep -E '^(ok|FAIL|skip) [^ ]+\.[^ ]+ [0-9]+( |$)' "$out/$pass.$name.out" >>"$out/$pass.lines"
    if [ $rc -ne 0 ]; then
        cat "$out/$pass.$name.err"
        if ! grep -q '^FAIL ' "$out/$pass.$name.out"; then
            tail -n 20 "$out/$pass.$name.out"
            record "$pass" FAIL "check.$name" "$start" "exit status $rc"
        fi
    fi
}

release_args="--buildtype=debugoptimized --wrap-mode=nodownload"
for pass in $passes; do
    case $pass in
    asan)
        # The clang option is for shared libraries with sanitizers; gcc accepts it.
        if build build/asan -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 -Ddebug=true \
            -Ddebug_asserts=true -Dfaults=true; then
            run_tests asan build/asan -t 4 --no-suite long --no-suite nosan
        fi
        ;;
    release)
        if build build/check-release $release_args; then
            run_tests release build/check-release -t 2 --no-suite long \
                --suite release --suite sim --suite badinput --suite nosan
            if [ -f test/demo/demo_check.sh ]; then
                run_lines release demo bash test/demo/demo_check.sh build/check-release
            fi
        fi
        ;;
    long)
        if build build/check-release $release_args; then
            run_tests long build/check-release -t 2
            run_lines long arm64 tools/arm64.sh
        fi
        ;;
    lint)
        if [ -f build/check-release/build.ninja ] || build build/check-release $release_args; then
            run_lines lint lint tools/lint --build build/check-release
            grep '^figure' "$out/lint.lint.out"
        fi
        ;;
    clang)
        CC=clang build build/clang --buildtype=debugoptimized
        ;;
    tsan)
        if build build/tsan -Db_sanitize=thread -Db_lundef=false -Doptimization=1 -Ddebug=true; then
            run_tests tsan build/tsan -t 10 --no-suite long --suite harness --suite plat --suite client
        fi
        ;;
    *)
        echo "no pass is called $pass" >&2
        exit 2
        ;;
    esac
done

exec python3 tools/check_report.py --skips test/skips.txt "$out" $passes
