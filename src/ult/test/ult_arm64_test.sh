#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause-Patent
# Goal: the switch for arm64 is accepted by an assembler and has the parts that C calls, on whatever machine the tests run.
# Method: assemble with the first cross tool found; look for the symbols, for the branch at the end, and for every register kept.
# usage: ult_arm64_test.sh SOURCE_DIR
src=$1/ult_switch_aarch64.S
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

if command -v aarch64-linux-gnu-gcc >/dev/null; then
    assemble="aarch64-linux-gnu-gcc -c"
elif command -v clang >/dev/null; then
    assemble="clang --target=aarch64-linux-gnu -c"
else
    echo "skip ult_arm64.assembles 0 no assembler for arm64"
    exit 77
fi
if ! $assemble "$src" -o "$tmp/switch.o"; then
    echo "FAIL ult_arm64.assembles 0"
    exit 1
fi
for symbol in ult_ctx_switch ult_ctx_entry ult_ctx_main; do
    if ! grep -q "$symbol" "$tmp/switch.o"; then
        echo "FAIL ult_arm64.assembles 0 no $symbol"
        exit 1
    fi
done
for reg in x19 x20 x21 x22 x23 x24 x25 x26 x27 x28 x29 x30 d8 d9 d10 d11 d12 d13 d14 d15; do
    if [ "$(grep -cE "^ +(stp|ldp) .*\b$reg\b" "$src")" != 2 ]; then
        echo "FAIL ult_arm64.assembles 0 $reg is not saved and restored once"
        exit 1
    fi
done
echo "ok ult_arm64.assembles 0"
