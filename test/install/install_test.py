#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Goal: what `make install` leaves is complete and usable by programs that know nothing of this tree.
Method: `meson install` of the build into a new directory, then each check against that alone. Prints harness lines.

usage: install_test.py SOURCE_ROOT BUILD_ROOT
"""
import glob
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time

SOURCE, BUILD = (os.path.realpath(p) for p in sys.argv[1:3])
TOOLS = ['daos', 'dmg', 'ddb', 'daos_server', 'daos_engine']
SONAMES = {'libdaos.so.2': 'libdaos.so.2', 'libgurt.so.4': 'libgurt.so.4', 'libdfs.so': 'libdfs.so', 'libduns.so': 'libduns.so'}
# What may be seen from outside, and in which version what is for our own tools alone.
PUBLIC = {
    'libdaos.so': re.compile(r'(daos_|tse_|dc_mgmt_srv_version$|d_errstr$|d_errdesc$|d_rank_list_free$)'),
    'libgurt.so': re.compile(r'(d_|rank_list_to_uint32_array$|uint32_array_to_rank_list$)'),
    'libdfs.so': re.compile(r'dfs_'),
    'libduns.so': re.compile(r'duns_'),
    'cairn/libcairn_engine.so': re.compile(r'(engine_|cairn_engine)'),
}
PRIVATE = 'CAIRN_PRIVATE'


class Failure(Exception):
    pass


def expect(cond, text):
    if not cond:
        raise Failure(text)


def run(cmd, env=None, **kw):
    proc = subprocess.run(cmd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, timeout=120, **kw)
    expect(proc.returncode == 0, '%s: status %s\n%s' % (' '.join(cmd), proc.returncode, proc.stdout[-4000:]))
    return proc.stdout


class Stage:
    """The installed tree."""

    def __init__(self, top):
        self.top = top
        self.root = os.path.join(top, 'root')
        with open(os.path.join(BUILD, 'meson-info', 'intro-buildoptions.json'), encoding='utf-8') as f:
            opt = {o['name']: o['value'] for o in json.load(f)}
        prefix = self.root + opt['prefix']
        self.bin, self.lib, self.include = (os.path.join(prefix, opt[d]) for d in ('bindir', 'libdir', 'includedir'))
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(('CAIRN_', 'DAOS_', 'PKG_CONFIG', 'D_'))}
        self.env.update(PKG_CONFIG_SYSROOT_DIR=self.root, PKG_CONFIG_PATH=os.path.join(self.lib, 'pkgconfig'),
                        LD_LIBRARY_PATH=self.lib, CAIRN_MODULE_DIR=os.path.join(self.lib, 'cairn'),
                        CAIRN_EMBEDDED=os.path.join(top, 'store'))

    def pkg_config(self, *args):
        return shlex.split(run(['pkg-config'] + list(args) + ['daos'], self.env))

    def compile(self, compiler, name, text, *flags):
        path = os.path.join(self.top, name)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        run([compiler, '-Wall', '-Wextra', '-Werror'] + list(flags) + [path] + self.pkg_config('--cflags') +
            (['-o', path + '.out'] + self.pkg_config('--libs') if '-fsyntax-only' not in flags else []), self.env)
        return path + '.out'


def check_installs(stage):
    env = dict(stage.env, DESTDIR=stage.root)
    run(['meson', 'install', '-C', BUILD, '--no-rebuild', '--quiet'], env)
    expect(os.path.isdir(stage.lib), 'nothing in ' + stage.lib)


def check_files(stage):
    for name in TOOLS:
        expect(os.access(os.path.join(stage.bin, name), os.X_OK), 'no tool ' + name)
    for name in list(SONAMES) + ['libdaos.so', 'libgurt.so', 'pkgconfig/daos.pc', 'cairn/libcairn_engine.so']:
        expect(os.path.exists(os.path.join(stage.lib, name)), 'no %s in libdir' % name)
    expect(not glob.glob(stage.lib + '/*.a'), 'a static library is installed')
    top = os.path.join(SOURCE, 'include')
    for folder, _, names in os.walk(top):
        for name in names:
            rel = os.path.relpath(os.path.join(folder, name), top)
            if name.endswith('.h'):
                expect(os.path.isfile(os.path.join(stage.include, rel)), 'no header ' + rel)
    expect(os.path.isfile(os.path.join(stage.include, 'daos_version.h')), 'no daos_version.h')


def check_sonames(stage):
    for name, soname in SONAMES.items():
        text = run(['readelf', '-d', os.path.join(stage.lib, name)])
        found = re.search(r'SONAME.*\[(.*)\]', text)
        expect(found and found.group(1) == soname, '%s has the SONAME %s' % (name, found and found.group(1)))
        expect('RPATH' not in text and 'RUNPATH' not in text, name + ' remembers the build tree')


def check_links(stage):
    for path in [os.path.join(stage.bin, t) for t in TOOLS] + [os.path.join(stage.lib, n) for n in SONAMES]:
        text = run(['ldd', path], stage.env)
        expect('not found' not in text and BUILD not in text, '%s:\n%s' % (path, text))


def check_names(stage):
    bad = []
    for name, public in PUBLIC.items():
        out = run(['nm', '-D', '--defined-only', os.path.join(stage.lib, name)])
        rows = [line.split() for line in out.splitlines()]
        names = [r[-1].partition('@') for r in rows if r[1] != 'A']
        expect(names, name + ' exports nothing')
        bad += ['%s exports %s' % (name, n) for n, _, version in names
                if not public.match(n) and version.strip('@') != PRIVATE]
    expect(not bad, '\n'.join(bad[:40]))


def headers(stage):
    found = [os.path.relpath(os.path.join(folder, n), stage.include)
             for folder, _, names in os.walk(stage.include) for n in names]
    expect(len(found) > 20, 'headers: %s' % found)
    return sorted(found)


def check_headers_c99(stage):
    for name in headers(stage):
        stage.compile('gcc', 'alone.c', '#include <%s>\nextern int not_empty;\n' % name, '-std=c99', '-pedantic-errors', '-fsyntax-only')


def check_headers_cxx(stage):
    for name in headers(stage):
        stage.compile('g++', 'alone.cc', '#include <%s>\n' % name, '-std=c++11', '-fsyntax-only')


def app_text():
    with open(os.path.join(SOURCE, 'test', 'install', 'install_app.c'), encoding='utf-8') as f:
        return f.read()


def check_embedded_c99(stage):
    app = stage.compile('gcc', 'app.c', app_text(), '-std=c99')
    run([os.path.join(stage.bin, 'dmg'), '--embedded', stage.env['CAIRN_EMBEDDED'], 'pool', 'create', 'tank', '--size', '512MiB'],
        stage.env)
    expect(run([app], stage.env).splitlines()[-1:] == ['passed'], 'the program said something else')


def check_program_cxx(stage):
    app = stage.compile('g++', 'app.cc', app_text(), '-std=c++11')
    text = run(['ldd', app], stage.env)
    expect('not found' not in text and stage.lib in text, text)


def check_tools_run(stage):
    for args in (['daos', 'version'], ['dmg', '--help'], ['daos_server', '--help'], ['ddb', '--help']):
        expect(run([os.path.join(stage.bin, args[0])] + args[1:], stage.env).strip(), '%s says nothing' % args)


CHECKS = [('installs', check_installs), ('files', check_files), ('sonames', check_sonames), ('libraries_found', check_links),
          ('only_public_names', check_names), ('headers_alone_c99', check_headers_c99),
          ('headers_alone_cxx', check_headers_cxx), ('embedded_put_and_get', check_embedded_c99),
          ('program_in_cxx', check_program_cxx), ('tools_run', check_tools_run)]


def main():
    bad = False
    with tempfile.TemporaryDirectory(prefix='cairn-install-') as top:
        stage = Stage(top)
        for name, check in CHECKS:
            start = time.monotonic()
            status, why = 'ok', ' linux only: files and programs of an installation'
            try:
                check(stage)
            except (Failure, subprocess.TimeoutExpired) as e:
                print(str(e), file=sys.stderr)
                status, bad, why = 'FAIL', True, ' ' + str(e).splitlines()[0][:160]
            print('%s install.%s/linux %d%s' % (status, name, (time.monotonic() - start) * 1000, why), flush=True)
            if bad and name == 'installs':
                break
    return 1 if bad else 0


sys.exit(main())
