#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Goal: tools/lint and tools/check_report.py fail when they should; a checker that never failed proves nothing.
Method: a small tree that is clean, then the same tree with one fault planted for each case. Prints harness lines."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SPDX = '/* SPDX-License-Identifier: BSD-2-Clause-Patent */\n'

CLEAN = {
    'tools/deps.txt': 'base: +isal\nplat: base\nvos: base\n',
    'include/cairn_x.h': SPDX + '#ifndef CAIRN_X_H\n#define CAIRN_X_H\nint x_api(int a);\n#endif\n',
    'src/base/base.h': SPDX + '#ifndef BASE_H\n#define BASE_H\nint base_one(void);\n#endif\n',
    'src/base/base_one.c': SPDX + '#include "base/base.h"\n\nint\nbase_one(void)\n{\n    return 1;\n}\n',
    'src/plat/plat.h': SPDX + '#ifndef PLAT_H\n#define PLAT_H\nint plat_now(void);\n#endif\n',
    'src/plat/linux/plat_clock.c': SPDX + '#include "plat/plat.h"\n\n#include <time.h>\n\nint\nplat_now(void)\n{\n'
                                          '    return (int)time(NULL);\n}\n',
    'src/vos/vos.h': SPDX + '#ifndef VOS_H\n#define VOS_H\nint vos_two(void);\n#endif\n',
    'src/vos/vos_two.c': SPDX + '#include "vos/vos.h"\n\n#include "base/base.h"\n\nint\nvos_two(void)\n{\n'
                                '    if (base_one() > 1)\n        return 0;\n    return base_one() + 1;\n}\n',
    'docs/a.md': 'See [b](b.md) and [c](../include/cairn_x.h).\n',
    'docs/b.md': 'Text.\n',
}

# check, {file: content}, what the finding says
PLANTED = {
    'forbidden_include': ('includes', {'src/base/base_up.h': SPDX + '#include "vos/vos.h"\n'}, 'base may not use vos'),
    'single_header': ('includes', {'tools/deps.txt': 'base: +isal\nplat: base\nvos: base plat/plat.h\n',
                                        'src/plat/plat_two.h': SPDX, 'src/vos/vos_p.c': SPDX + '#include "plat/plat.h"\n'
                                                                                              '#include "plat/plat_two.h"\n'},
                           'vos_p.c:3: vos may not use plat (plat/plat_two.h)'),
    'inner_component': ('includes', {'tools/deps.txt': 'base: +isal\nplat: base\nplat/in: +yaml\nvos: base plat\n',
                                     'src/plat/in/plat_in.h': SPDX, 'src/plat/plat_y.c': SPDX + '#include <yaml.h>\n',
                                     'src/vos/vos_p.c': SPDX + '#include "plat/in/plat_in.h"\n'},
                        'vos may not use plat/in'),
    'forbidden_library': ('includes', {'src/vos/vos_lib.c': SPDX + '#include <isa-l/crc.h>\n'}, 'vos may not use +isal'),
    'private_header': ('includes', {'src/base/base_priv.h': SPDX, 'src/vos/vos_p.c': SPDX + '#include "base/base_priv.h"\n'},
                       'private to base'),
    'ring_in_deps': ('includes', {'tools/deps.txt': 'base: vos\nplat: base\nvos: base\n'}, 'does not stand before it'),
    'unknown_component': ('includes', {'src/new/new.c': SPDX + '#include "base/base.h"\n'}, 'has no line'),
    'clock': ('bans', {'src/vos/vos_t.c': SPDX + 'int vos_t(void)\n{\n    return time(0);\n}\n'}, 'vos_t.c:4: time()'),
    'thread_by_prefix': ('bans', {'src/base/base_t.c': SPDX + 'int f(void)\n{\n    return pthread_self();\n}\n'},
                         'pthread_self()'),
    'format': ('format', {'src/vos/vos_f.c': SPDX + 'int  vos_f;\n'}, 'make fmt'),
    'loop_without_braces': ('braces', {'src/vos/vos_b.c': SPDX + 'void\nf(int a)\n{\n    while (a--)\n        g();\n}\n'},
                            'vos_b.c:6: braces'),
    'else_without_braces': ('braces', {'src/vos/vos_b.c': SPDX + 'void\nf(int a)\n{\n    if (a)\n        g();\n    else\n'
                                                                 '        h();\n}\n'}, 'vos_b.c:8: braces'),
    'long_guard': ('braces', {'src/vos/vos_b.c': SPDX + 'void\nf(int a)\n{\n    if (a)\n        g(a,\n          a);\n}\n'},
                   'vos_b.c:6: braces'),
    'header_not_alone': ('headers', {'src/vos/vos_h.h': SPDX + 'size_t vos_h(void);\n'}, 'vos_h.h does not compile alone'),
    'header_not_cxx': ('headers', {'include/cairn_y.h': SPDX + 'int new(int class);\n'}, 'does not compile as C++'),
    'header_not_c99': ('headers', {'include/cairn_y.h': SPDX + '_Static_assert(1, "");\n__auto_type y = 1;\nint f(typeof(1));\n'},
                       'does not compile as C99'),
    'no_licence_line': ('spdx', {'src/vos/vos_s.c': 'int vos_s;\n'}, 'vos_s.c'),
    'same_base_name': ('names', {'src/vos/base_one.c': SPDX}, 'has the base name'),
    'machine_path': ('text', {'docs/b.md': 'See /ho' 'me/someone/x.\n'}, 'a path of one machine'),
    'to_do_mark': ('text', {'src/vos/vos_x.c': SPDX + '/* TO' 'DO: later */\n'}, 'TO' 'DO'),
    'word': ('text', {'docs/b.md': 'Written by an L' 'LM.\n'}, 'does not belong'),
    'stale_patch': ('patches', {'test/vos/bugs/old.patch': '--- a/src/vos/vos_two.c\n+++ b/src/vos/vos_two.c\n@@ -1,1 +1,1 @@\n'
                                                           '-gone\n+new\n'}, 'old.patch: does not apply'),
    'dead_link': ('links', {'docs/b.md': '[gone](gone.md)\n'}, 'no such file'),
}


class Failure(Exception):
    pass


def expect(cond, text):
    if not cond:
        raise Failure(text)


def plant(top, files):
    for name, text in files.items():
        path = os.path.join(top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)


def make_tree(top, extra):
    plant(top, CLEAN)
    for name in ('tools/ban.txt', '.clang-format'):
        with open(os.path.join(ROOT, name), encoding='utf-8') as f:
            plant(top, {name: f.read()})
    plant(top, extra)


def lint(top, *args):
    run = subprocess.run([sys.executable, os.path.join(ROOT, 'tools/lint'), '--root', top] + list(args),
                         capture_output=True, text=True, check=False)
    return run.returncode, run.stdout + run.stderr


def build_libraries(top, thin=False):
    """Libraries as a build would leave them, without Meson."""
    build = os.path.join(top, 'build')
    targets = []
    for comp, src in (('base', 'base_one.c'), ('plat', 'linux/plat_clock.c'), ('vos', 'vos_two.c')):
        folder = os.path.join(build, 'src', comp)
        os.makedirs(folder, exist_ok=True)
        obj = os.path.join(folder, src.replace('/', '_') + '.o')
        lib = os.path.join(folder, 'libcairn_%s.a' % comp)
        subprocess.run(['gcc', '-I' + os.path.join(top, 'src'), '-c', os.path.join(top, 'src', comp, src), '-o', obj],
                       check=True)
        subprocess.run(['ar', 'rcsT' if thin else 'rcs', lib, obj], check=True)
        targets.append({'type': 'static library', 'filename': [lib],
                        'defined_in': os.path.join(top, 'src', comp, 'meson.build')})
    plant(build, {'meson-info/intro-targets.json': json.dumps(targets)})
    return build


def test_clean():
    with tempfile.TemporaryDirectory() as top:
        make_tree(top, {})
        rc, out = lint(top)
        expect(rc == 0, out)
        expect('figure functions 3' in out, out)


def planted_test(name):
    def test():
        check, files, says = PLANTED[name]
        with tempfile.TemporaryDirectory() as top:
            make_tree(top, files)
            rc, out = lint(top, '--only', check)
            expect(rc == 1 and 'FAIL lint.%s ' % check in out and says in out, out)
    return test


def test_symbols():
    with tempfile.TemporaryDirectory() as top:
        make_tree(top, {})
        build = build_libraries(top)
        rc, out = lint(top, '--build', build, '--only', 'symbols,bans')
        expect(rc == 0, out)
        # The same libraries, but a declaration written by hand instead of an include: only symbols tell.
        plant(top, {'src/vos/vos_two.c': 'int plat_now(void);\nint vos_two(void) { return plat_now(); }\n',
                    'src/base/base_one.c': '#define T ti##me\n#define CAT(a, b) a##b\nlong CAT(ti, me)(long *);\n'
                                           'int base_one(void) { return CAT(ti, me)(0); }\n'})
        build = build_libraries(top)
        rc, out = lint(top, '--build', build, '--only', 'includes,symbols,bans')
        expect('ok lint.includes' in out, out)
        expect(rc == 1 and 'may not use plat_now of plat' in out, out)
        expect('base_one.c.o in libcairn_base.a calls time()' in out, out)


def test_exemptions():
    # A place is known by the folder of the source, whatever its object is called; names may end in a wildcard.
    ban = 'time pthread_* : plat\n!plat/linux time : it is the place\n!base pthread_* : for the test\n'
    thread = '#include "base/base.h"\n\nint pthread_self(void);\n\nint\nbase_one(void)\n{\n    return pthread_self();\n}\n'
    with tempfile.TemporaryDirectory() as top:
        make_tree(top, {'tools/ban.txt': ban, 'src/base/base_one.c': SPDX + thread})
        for thin in (True, False):
            build = build_libraries(top, thin)
            rc, out = lint(top, '--build', build, '--only', 'bans')
            expect(rc == 0, out)
            shutil.rmtree(build)
        build = build_libraries(top)
        plant(top, {'tools/ban.txt': ban.replace('plat/linux time', 'plat/li time').replace('pthread_* : for', 'pthread_s : for')})
        rc, out = lint(top, '--build', build, '--only', 'bans')
        expect(rc == 1 and 'FAIL lint.bans' in out and ' 3 findings' in out, out)
        expect('linux_plat_clock.c.o in libcairn_plat.a calls time()' in out, out)


def test_fix():
    with tempfile.TemporaryDirectory() as top:
        text = ('void\nf(int a)\n{\n    for (;;)\n        if (a)\n            g(); /* why */\n        else if (b)\n'
                '            h();\n        else\n            while (a)\n                a--;\n    do\n        a++;\n'
                '    while (a);\n    if (a)\n        return;\n}\n')
        make_tree(top, {'src/vos/vos_fix.c': SPDX + text})
        rc, out = lint(top, '--only', 'braces')
        expect(rc == 1, out)
        rc, out = lint(top, '--fix', os.path.join(top, 'src/vos'))
        expect(rc == 0, out)
        rc, out = lint(top, '--only', 'braces,format')
        with open(os.path.join(top, 'src/vos/vos_fix.c'), encoding='utf-8') as f:
            fixed = f.read()
        expect(rc == 0, out + fixed)
        expect('g(); /* why */' in fixed and 'if (a)\n        return;' in fixed and 'do {' in fixed, fixed)
        expect(fixed.count('{') == fixed.count('}') == 7, fixed)


def report(lines, tests, skips=''):
    with tempfile.TemporaryDirectory() as top:
        plant(top, {'p.lines': lines, 'p.json': '\n'.join(json.dumps(t) for t in tests), 'skips.txt': skips})
        run = subprocess.run([sys.executable, os.path.join(ROOT, 'tools/check_report.py'), '--skips', top + '/skips.txt',
                              top, 'p'], capture_output=True, text=True, check=False)
        return run.returncode, run.stdout


def meson(stdout, result='OK', rc=0):
    return {'name': 'a.b', 'stdout': stdout, 'stderr': 'diagnosis\n', 'result': result, 'duration': 1.5, 'returncode': rc}


def test_report():
    rc, out = report('ok a.a 5\n', [meson('ok b.b/linux 12 linux only: it is\nnoise\nskip b.c 0 no disk\n')], 'b.c why\n')
    expect(rc == 0 and out.endswith('\n2 passed, 0 failed, 1 skipped\n'), out)
    expect('b.b/linux: it is' in out and 'p b.c: no disk' in out, out)
    rc, out = report('', [meson('skip b.c/sim 0 no disk\n')])
    expect(rc == 1 and out.endswith('\n0 passed, 1 failed, 0 skipped\n') and 'not listed' in out, out)
    rc, out = report('', [meson('ok b.b 1\n', 'FAIL', 139)])
    expect(rc == 1 and out.endswith('\n1 passed, 1 failed, 0 skipped\n') and 'diagnosis' in out, out)
    rc, out = report('', [meson('ok b.b 1\nFAIL b.c 1 why not\n', 'FAIL', 1)])
    expect(rc == 1 and out.endswith('\n1 passed, 1 failed, 0 skipped\n') and 'b.c: why not' in out, out)
    rc, out = report('', [meson('')])
    expect(rc == 1 and 'printed no result line' in out, out)
    rc, out = report('', [meson('ok b.b 1\n', 'TIMEOUT', -15)])
    expect(rc == 1 and 'a.b' in out, out)
    rc, out = report('', [])
    expect(rc == 1 and out.endswith('\n0 passed, 0 failed, 0 skipped\n'), out)


def main():
    tests = [('clean_tree_passes', test_clean), ('symbols', test_symbols),
             ('exemptions', test_exemptions), ('fix', test_fix), ('report', test_report)]
    tests += [('finds_' + name, planted_test(name)) for name in PLANTED]
    bad = False
    for name, test in tests:
        start = time.monotonic()
        try:
            test()
            status = 'ok'
        except Failure as e:
            print(str(e), file=sys.stderr)
            status, bad = 'FAIL', True
        print('%s lint_tool.%s %d' % (status, name, (time.monotonic() - start) * 1000), flush=True)
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
