#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause-Patent
# The tests of base, ult (the switch in assembly), bio and vos as arm64 programs under qemu-user; part of make check-long. Prints the harness's lines,
# with `arm64.` before the name; what cannot be had here is skipped (test/skips.txt).
#
# Needs the packages of tools/deps-long-debian.txt. The arm64 libraries are downloaded by apt-get into build/arm64-sysroot, and not installed.
#
# usage: tools/arm64.sh [SUITE...]      default: base ult bio vos (of plat, what needs sockets and libfabric does not run there)
set -uo pipefail
cd "$(dirname "$0")/.."
suites=${*:-base ult bio vos}
root=$PWD/build/arm64-sysroot
build=build/arm64
libs="libisal-dev libssl-dev liburing-dev libraft-dev uuid-dev libprotobuf-c-dev libyaml-dev libjansson-dev libfabric-dev"

skip() {
    echo "skip arm64.suites 0 $1"
    exit 0
}

command -v qemu-aarch64 >/dev/null && command -v aarch64-linux-gnu-gcc >/dev/null ||
    skip "qemu-user or gcc-aarch64-linux-gnu is not installed (tools/deps-long-debian.txt)"

if [ "$(cat "$root/complete" 2>/dev/null)" != "$libs" ]; then
    rm -rf "$root"
    mkdir -p "$root/apt/lists/partial" "$root/debs/partial"
    : >"$root/apt/status"
    # A state of apt's own for the other architecture: nothing on this system changes.
    apt=(apt-get -q -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o "Dir::State=$root/apt"
        -o "Dir::State::status=$root/apt/status" -o "Dir::Cache=$root/apt" -o "Dir::Cache::archives=$root/debs"
        -o APT::Sandbox::User=root)
    # shellcheck disable=SC2086
    { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends --download-only $libs; } >"$root/apt.log" 2>&1 ||
        skip "the libraries for arm64 cannot be downloaded ($root/apt.log)"
    for deb in "$root"/debs/*.deb; do
        case $(basename "$deb") in
        libc6* | libc-dev-bin* | linux-libc-dev* | libcrypt-dev*) continue ;; # the cross compiler has its own
        esac
        dpkg-deb -x "$deb" "$root" || skip "$deb cannot be unpacked"
    done
    echo "$libs" >"$root/complete"
fi

lib=$root/usr/lib/aarch64-linux-gnu
cat >build/arm64.cross <<CROSS
[binaries]
c = ['aarch64-linux-gnu-gcc']
cpp = ['aarch64-linux-gnu-g++']
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu']
[properties]
sys_root = '$root'
pkg_config_libdir = '$lib/pkgconfig'
[built-in options]
c_args = ['-I$root/usr/include', '-I$root/usr/include/aarch64-linux-gnu']
c_link_args = ['-L$lib', '-Wl,-rpath,$lib', '-Wl,-rpath-link,$lib']
[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'armv8-a'
endian = 'little'
CROSS

start=$(date +%s%3N)
fail() {
    tail -n 30 "$build.log" >&2
    echo "FAIL arm64.build $(($(date +%s%3N) - start)) see $build.log"
    exit 1
}
if [ -f "$build/build.ninja" ]; then
    meson setup --reconfigure "$build" >"$build.log" 2>&1 || fail
else
    meson setup --cross-file build/arm64.cross --buildtype=debugoptimized "$build" >"$build.log" 2>&1 || fail
fi
targets=
for suite in $suites; do
    targets="$targets $(ninja -C "$build" -t targets all | sed -n "s|^\(src/$suite/test/[a-z0-9_]*_test\): .*|\1|p" | tr '\n' ' ')"
done
# shellcheck disable=SC2086
ninja -C "$build" $targets >>"$build.log" 2>&1 || fail
echo "ok arm64.build $(($(date +%s%3N) - start))"

status=0
for target in $targets; do
    out=$(timeout 900 qemu-aarch64 -L /usr/aarch64-linux-gnu "$build/$target" 2>"$build.err")
    rc=$?
    echo "$out" | sed -nE 's/^(ok|FAIL|skip) ([^ ]+\.[^ ]+ [0-9]+)/\1 arm64.\2/p'
    if [ $rc -ne 0 ]; then
        status=1
        tail -n 20 "$build.err" >&2
        echo "$out" | grep -q '^FAIL ' || echo "FAIL arm64.$(basename "$target") 0 exit status $rc"
    fi
done
exit $status
