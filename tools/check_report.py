#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Sum up the passes of tools/check.sh.

Reads DIR/<pass>.lines (harness lines) and DIR/<pass>.json (Meson's test log, whose stdout holds harness lines):
    ok|FAIL|skip <suite>.<name>[/linux|/sim] <ms> [reason]
A Meson test that ended badly without a FAIL line of its own, or that printed no line at all, counts as one failure. A
skip that the list of skips does not name counts as failed. Prints failures with their diagnostics, each skip with its
reason, the tests on linux only, the ten slowest, and last: N passed, N failed, N skipped.
"""
import argparse
import fnmatch
import json
import os
import re
import sys

LINE = re.compile(r'^(ok|FAIL|skip) (\S+\.\S+) (\d+)(?: (.*))?$')
LINUX_ONLY = 'linux only: '
SLOWEST_NR = 10
DIAGNOSTICS_LINES_MAX = 60


def read_skips(path):
    """Names that may be skipped, or patterns of the shell for them: one a line, then its reason."""
    names = []
    if os.path.exists(path):
        with open(path, encoding='utf-8') as f:
            for line in f:
                line = line.split('#')[0].strip()
                if line:
                    names.append(line.split()[0])
    return names


def is_listed(test, skips):
    return any(fnmatch.fnmatchcase(name, skip) for skip in skips for name in (test, test.rsplit('/', 1)[0]))


def parse(text):
    """The harness lines in text as (status, name, ms, reason)."""
    rows = []
    for line in text.splitlines():
        m = LINE.match(line)
        if m:
            rows.append((m.group(1), m.group(2), int(m.group(3)), m.group(4) or ''))
    return rows


def meson_rows(entry):
    """The rows of one Meson test, and what it wrote besides."""
    stdout = entry.get('stdout') or ''
    stderr = entry.get('stderr') or ''
    rows = parse(stdout)
    result = entry.get('result', '')
    name = 'check.' + re.sub(r'\s+', '', entry.get('name', 'unnamed').split(' / ')[-1])
    ms = int(float(entry.get('duration', 0)) * 1000)
    bad = result not in ('OK', 'EXPECTEDFAIL', 'SKIP')
    if bad and not any(r[0] == 'FAIL' for r in rows):
        rows.append(('FAIL', name, ms, 'result %s, exit status %s' % (result, entry.get('returncode'))))
    elif result == 'TIMEOUT':
        rows.append(('FAIL', name, ms, 'took longer than its limit'))
    elif not rows:
        rows.append(('FAIL', name, ms, 'printed no result line'))
    other = [x for x in (stderr + '\n' + stdout).splitlines() if x.strip() and not LINE.match(x)]
    return rows, other


def read_pass(directory, name):
    """All rows of a pass, and the diagnostics of its failed programs."""
    rows, notes = [], []
    lines = os.path.join(directory, name + '.lines')
    if os.path.exists(lines):
        with open(lines, encoding='utf-8', errors='replace') as f:
            rows += parse(f.read())
    log = os.path.join(directory, name + '.json')
    if os.path.exists(log):
        with open(log, encoding='utf-8', errors='replace') as f:
            for line in f:
                if not line.strip():
                    continue
                got, other = meson_rows(json.loads(line))
                rows += got
                if any(r[0] == 'FAIL' for r in got):
                    notes.append(('\n'.join('    ' + x.strip() for x in other[-DIAGNOSTICS_LINES_MAX:])))
    return rows, notes


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('--skips', default='test/skips.txt')
    ap.add_argument('directory')
    ap.add_argument('passes', nargs='+')
    args = ap.parse_args()

    may_skip = read_skips(args.skips)
    names = []
    for name in args.passes:
        names += {'release': ['check-release', 'release']}.get(name, [name])
    all_rows, failed, skipped, passed = [], [], [], 0
    for name in names:
        rows, notes = read_pass(args.directory, name)
        for note in notes:
            print('\n-- %s: output of what failed\n%s' % (name, note))
        all_rows += [(name,) + r for r in rows]

    for name, status, test, ms, reason in all_rows:
        if status == 'ok':
            passed += 1
        elif status == 'skip' and is_listed(test, may_skip):
            skipped.append((name, test, reason or 'no reason given'))
        elif status == 'skip':
            failed.append((name, test, 'skipped, and not listed in %s: %s' % (args.skips, reason)))
        else:
            failed.append((name, test, reason))

    linux = sorted({(t, r[len(LINUX_ONLY):]) for _, s, t, _, r in all_rows if r.startswith(LINUX_ONLY)})
    if linux:
        print('\nOn linux only, and why:')
        for test, reason in linux:
            print('  %s: %s' % (test, reason))
    if skipped:
        print('\nSkipped, and why:')
        for name, test, reason in skipped:
            print('  %s %s: %s' % (name, test, reason))
    slow = sorted((r for r in all_rows if not r[2].startswith('check.')), key=lambda r: -r[3])[:SLOWEST_NR]
    if slow:
        print('\nThe %d slowest tests:' % len(slow))
        for name, _, test, ms, _ in slow:
            print('  %8.2f s  %s %s' % (ms / 1000, name, test))
    if failed:
        print('\nFailed:')
        for name, test, reason in failed:
            print('  %s %s: %s' % (name, test, reason))
    print('\n%d passed, %d failed, %d skipped' % (passed, len(failed), len(skipped)))
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
