# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The table of tools/coverage.sh, from the counters that the tests left: gcov's JSON for each object of vos and bio.

A line counts once, whatever number of objects it is compiled into. Branches on the lines of an assert (CAIRN_ASSERT, CAIRN_DASSERT, CAIRN_UNREACHABLE,
CAIRN_FAULT, which is no branch in a release) are left out.

usage: coverage.py BUILD [--missing]       --missing: lines that were not reached, and those of which some branches were not
"""
import json
import os
import re
import subprocess
import sys

COMPONENTS = ('vos', 'bio')
LINES_TARGET, BRANCHES_TARGET = 95.0, 85.0
LEFT_OUT = re.compile(r'\b(CAIRN_D?ASSERT|CAIRN_UNREACHABLE|CAIRN_FAULT)\s*\(')


def assert_lines(path):
    """Numbers of the lines that an assert takes up."""
    found = set()
    lines = open(path).read().split('\n')
    for first, text in enumerate(lines):
        m = LEFT_OUT.search(text)
        if not m:
            continue
        depth, line, at = 0, first, m.end() - 1
        while line < len(lines):
            found.add(line + 1)
            for c in lines[line][at:]:
                depth += (c == '(') - (c == ')')
                if depth == 0:
                    break
            if depth == 0:
                break
            line, at = line + 1, 0
    return found


def counters(build):
    """{file: {line: [count, {branch: count}]}}"""
    files = {}
    for component in COMPONENTS:
        folder = os.path.join(build, 'src', component, 'libcairn_%s.a.p' % component)
        for name in sorted(os.listdir(folder)):
            if not name.endswith('.gcno'):
                continue
            out = subprocess.run(['gcov', '--json-format', '--stdout', '--branch-probabilities', name], cwd=folder,
                                 capture_output=True, text=True).stdout
            for text in out.splitlines():
                for f in json.loads(text)['files']:
                    path = os.path.relpath(os.path.join(build, f['file']))
                    if not re.match(r'src/(vos|bio)/[a-z0-9_]+\.[ch]$', path):
                        continue
                    lines = files.setdefault(path, {})
                    for line in f['lines']:
                        entry = lines.setdefault(line['line_number'], [0, {}])
                        entry[0] += line['count']
                        for i, branch in enumerate(line['branches']):
                            entry[1][i] = entry[1].get(i, 0) + branch['count']
    return files


def main():
    build = sys.argv[1]
    missing = '--missing' in sys.argv[2:]
    sums = {}
    print('%-28s %6s %7s %9s %7s' % ('file', 'lines', '%', 'branches', '%'))
    for path, lines in sorted(counters(build).items()):
        asserts = assert_lines(path)
        branches = [n for line, entry in lines.items() if line not in asserts for n in entry[1].values()]
        row = [len(lines), sum(e[0] > 0 for e in lines.values()), len(branches), sum(n > 0 for n in branches)]
        component = path.split('/')[1]
        sums[component] = [a + b for a, b in zip(sums.get(component, [0] * 4), row)]
        print('%-28s %6d %6.1f%% %9d %6.1f%%' % (path[4:], row[0], 100.0 * row[1] / max(row[0], 1), row[2],
                                                  100.0 * row[3] / max(row[2], 1)))
        if missing:
            text = open(path).read().split('\n')
            for line, entry in sorted(lines.items()):
                nr = 0 if line in asserts else sum(n == 0 for n in entry[1].values())
                if entry[0] == 0 or nr > 0:
                    what = '' if entry[0] == 0 else ' [%d of %d branches]' % (nr, len(entry[1]))
                    print('    %s:%d:%s %s' % (path, line, what, text[line - 1].strip()))
    met = True
    for component, row in sorted(sums.items()):
        rates = 100.0 * row[1] / row[0], 100.0 * row[3] / row[2]
        met = met and rates[0] >= LINES_TARGET and rates[1] >= BRANCHES_TARGET
        print('%-28s %6d %6.1f%% %9d %6.1f%%' % (component, row[0], rates[0], row[2], rates[1]))
    print('targets: lines %.0f%%, branches %.0f%%: %s' % (LINES_TARGET, BRANCHES_TARGET, 'met' if met else 'not met'))
    return 0


sys.exit(main())
