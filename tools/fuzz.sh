#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause-Patent
# make fuzz: clang's libFuzzer on every target of test/fuzz, each for FUZZ_SECONDS (default 60), from its corpus. What it
# finds lands in build/fuzz-found/<target>/; put the file into test/fuzz/corpus/<target>/ together with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}
dir=build/fuzz

if [ -f "$dir/build.ninja" ]; then
    meson setup --reconfigure "$dir" >/dev/null
else
    CC=clang meson setup -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 -Ddebug=true \
        -Ddebug_asserts=true "$dir"
fi
ninja -C "$dir"
status=0
found=0
for exe in "$dir"/test/fuzz/fuzz_*; do
    [ -f "$exe" ] && [ -x "$exe" ] || continue
    name=$(basename "$exe")
    name=${name#fuzz_}
    found=1
    mkdir -p "build/fuzz-corpus/$name" "build/fuzz-found/$name"
    args=("build/fuzz-corpus/$name")
    [ -d "test/fuzz/corpus/$name" ] && args+=("test/fuzz/corpus/$name")
    echo "== $name, $seconds s"
    UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1 ASAN_OPTIONS=detect_stack_use_after_return=0 "$exe" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="build/fuzz-found/$name/" "${args[@]}" >"build/fuzz-$name.log" 2>&1 ||
        { status=1; tail -n 40 "build/fuzz-$name.log"; }
    grep -E 'stat::(number_of_executed|average_exec)' "build/fuzz-$name.log" || true
done
[ $found -eq 1 ] || { echo "no fuzz target is built"; exit 1; }
exit $status
