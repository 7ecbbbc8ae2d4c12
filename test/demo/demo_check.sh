#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause-Patent
# The small demo of make check: tools/demo on a generated tree (demo_tree.py), with servers over AF_UNIX and TCP, embedded, on mapped files (class dcpm), and with disks
# that have neither io_uring nor direct I/O; prints the harness's lines.
#
# usage: demo_check.sh BUILD [RUNS]      RUNS of each, one seed after the other (default 1)
set -u
build=${1:?usage: demo_check.sh BUILD [RUNS]}
runs=${2:-1}
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$build" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/cairn-demo-XXXXXX")
trap 'chmod -R u+rwX "$dir" 2>/dev/null; rm -rf "$dir"' EXIT
failed=0

demo() { # name environment...
    local name=$1 start rc
    shift
    start=$(date +%s%3N)
    env DEMO_SRC="$dir/tree" TMPDIR="$dir" "$@" "$here/../../tools/demo" "$build" >"$dir/out" 2>&1
    rc=$?
    if [ $rc -eq 0 ] && ls -d "$dir"/cairn-* >/dev/null 2>&1; then
        rc=1
        echo "demo: files are left: $(ls "$dir")" >>"$dir/out"
    fi
    if [ $rc -eq 0 ]; then
        echo "ok demo.$name/linux $(($(date +%s%3N) - start)) linux only: processes of the system"
    else
        tail -n 25 "$dir/out" >&2
        echo "FAIL demo.$name/linux $(($(date +%s%3N) - start)) $(grep -m1 -a FAILED "$dir/out" | tr -d '\n' | cut -c1-200)"
        chmod -R u+rwX "$dir"/cairn-* 2>/dev/null
        rm -rf "$dir"/cairn-* # what a failed demo leaves is not the next one's
        failed=1
    fi
}

python3 "$here/demo_tree.py" "$dir/tree" || exit 1
for run in $(seq "$runs"); do
    demo system DEMO_SEED="$run"
    demo system_tcp DEMO_SEED="$run" DEMO_NET=tcp
    demo system_ofi DEMO_SEED="$run" DEMO_NET=ofi
    demo system_pmem DEMO_SEED="$run" DEMO_CLASS=dcpm
    demo embedded DEMO_SEED="$run" DEMO_EMBEDDED=1
    demo no_uring_no_direct DEMO_SEED="$run" CAIRN_DISK=threads,buffered
done
exit $failed
