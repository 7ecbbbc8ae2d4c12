# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every public function of a header stands in the table of the sweep of its component: {"name name ...", ...}.

usage: vos_calls_complete_test.py SUITE HEADER TEST.c [--not NAME ...]
"""
import os
import re
import sys
import time


def main():
    suite, header, sweep = sys.argv[1:4]
    left_out = set(sys.argv[5:])
    start = time.monotonic()
    text = re.sub(r'/\*.*?\*/', ' ', open(header).read(), flags=re.S)
    text = re.sub(r'\{[^{}]*\}', ';', text)  # bodies of structs, enums and inline functions
    text = re.sub(r'^\s*#.*$', '', text, flags=re.M)
    prefix = re.match(r'[a-z]+', os.path.basename(header)).group(0) + '_'
    public = set(re.findall(r'\b(%s[a-z0-9_]+)\s*\(' % prefix, text))
    swept = set()
    table = re.sub(r'"\s*\n\s*"', '', open(sweep).read())  # strings in pieces
    for names in re.findall(r'^    \{"([a-z0-9_ ]+)"', table, flags=re.M):
        swept |= set(x for x in names.split() if x.startswith(prefix))
    missing = sorted(public - swept - left_out)
    stale = sorted((swept | left_out) - public)
    ok = public and not missing and not stale
    ms = int((time.monotonic() - start) * 1000)
    for name in missing:
        print('not swept: %s' % name, file=sys.stderr)
    for name in stale:
        print('not public: %s' % name, file=sys.stderr)
    print('%s %s.calls_are_complete %d %d functions' % ('ok' if ok else 'FAIL', suite, ms, len(public)))
    return 0 if ok else 1


sys.exit(main())
