#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause-Patent
# Install what is missing of the Debian packages listed in the given file. Touches nothing and needs no rights or network
# when all are there.
set -euo pipefail

list=$1
packages=$(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' -e '/?/d' "$list")

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "make deps installs Debian 12 packages and this system has no apt-get. Install what corresponds to:" >&2
    echo $packages >&2
    exit 1
fi

is_there() {
    case "$(dpkg-query -W -f='${db:Status-Abbrev}\n' "$1" 2>/dev/null || true)" in
    ii*) return 0 ;;
    *) return 1 ;;
    esac
}

missing=
for p in $packages; do
    is_there "$p" || missing="$missing $p"
done
optional= # those marked ?, where the distribution has them: known for certain only after an update
for p in $(sed -n -e 's/#.*//' -e 's/ ?.*//p' "$list"); do
    if ! is_there "$p" && { [ -n "$missing" ] || apt-cache show "$p" >/dev/null 2>&1; }; then
        optional="$optional $p"
    fi
done
[ -n "$missing$optional" ] || exit 0

echo "installing:$missing$optional"
as_root=
if [ "$(id -u)" -ne 0 ]; then
    # Without a terminal sudo could not ask for a password: it then either needs none, or does not help.
    if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        as_root=sudo
    else
        echo "packages are missing, and this user may not install them. Run as root:" >&2
        echo "apt-get update && apt-get install -y --no-install-recommends$missing$optional" >&2
        exit 1
    fi
fi
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
for p in $optional; do
    if apt-cache show "$p" >/dev/null 2>&1; then
        missing="$missing $p"
    fi
done
[ -n "$missing" ] || exit 0
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
