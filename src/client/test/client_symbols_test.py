#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the client libraries export: the public names and nothing else, and all that known programs ask for.

Usage: client_symbols_test.py SOURCE_ROOT BUILD_ROOT LIBRARY...
"""
import os
import re
import subprocess
import sys
import tempfile
import time

HEADERS = ['daos.h', 'daos_task.h', 'daos_pipeline.h', 'daos_fs.h', 'daos_fs_sys.h', 'daos_uns.h', 'daos/tse.h',
           'gurt/common.h', 'gurt/hash.h', 'gurt/list.h', 'gurt/debug.h', 'gurt/dlog.h']
# Names of each library: what it may export.
PUBLIC = {
    'libdaos': re.compile(r'^(daos_|tse_|dc_mgmt_srv_version$|d_errstr$|d_errdesc$|d_rank_list_free$)'),
    'libgurt': re.compile(r'^(d_|rank_list_to_uint32_array$|uint32_array_to_rank_list$)'),
    'libdfs': re.compile(r'^dfs_'),
    'libduns': re.compile(r'^duns_'),
}
OWNER = [('dfs_', 'libdfs'), ('duns_', 'libduns'), ('d_', 'libgurt'), ('rank_list_', 'libgurt'), ('uint32_array_', 'libgurt'),
         ('', 'libdaos')]
PLAIN = ['daos_pool_connect', 'daos_cont_open', 'daos_cont_create', 'daos_cont_destroy', 'daos_obj_generate_oid']


def exports(path):
    """{name: version} of a library's dynamic symbols."""
    out = subprocess.run(['nm', '-D', '--defined-only', path], check=True, capture_output=True, text=True).stdout
    found = {}
    for line in out.splitlines():
        parts = line.split()
        name, _, version = parts[-1].partition('@')
        if parts[1] == 'A':
            continue  # the version itself
        found[name] = version.lstrip('@')
    return found


def declared(source, build):
    """Functions that the public headers declare, as the compiler sees them."""
    include = os.path.join(source, 'include')
    text = ''.join('#include <%s>\n' % h for h in HEADERS if os.path.exists(os.path.join(include, h)))
    with tempfile.NamedTemporaryFile() as aux:
        subprocess.run(['gcc', '-fsyntax-only', '-I', include, '-I', os.path.join(build, 'include'), '-aux-info',
                        aux.name, '-x', 'c', '-'], input=text, check=True, text=True)
        with open(aux.name, encoding='utf-8') as lines:
            rows = [re.match(r'/\* (\S+?):\d+:\w+ \*/ extern .*?\b(\w+) \(', line) for line in lines]
    return {m.group(2) for m in rows if m and os.path.abspath(m.group(1)).startswith(os.path.abspath(include))}


def owner(name):
    return next(lib for prefix, lib in OWNER if name.startswith(prefix))


def check_only_public(libs, _source, _build):
    bad = []
    for lib, found in libs.items():
        for name, version in found.items():
            is_private = version == 'CAIRN_PRIVATE' and name.startswith('client_')
            if not PUBLIC[lib].match(name) and not is_private:
                bad.append('%s exports %s' % (lib, name))
    return bad


def check_headers(libs, source, build):
    return ['%s is declared but not in %s' % (name, owner(name)) for name in sorted(declared(source, build))
            if owner(name) in libs and name not in libs[owner(name)]]


def check_plain_names(libs, _source, _build):
    return ['no %s' % name for plain in PLAIN for name in (plain, plain + '2') if name not in libs['libdaos']]


def check_programs(libs, source, _build):
    bad = []
    everything = set().union(*libs.values())
    folder = os.path.join(source, 'test', 'api', 'symbols')
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding='utf-8') as lines:
            wanted = [line.strip() for line in lines if line.strip() and not line.startswith('#')]
        if not wanted:
            bad.append('%s is empty' % name)
        bad += ['%s wants %s' % (name, sym) for sym in wanted if owner(sym) in libs and sym not in everything]
    return bad


def check_events(_libs, source, _build):
    """test/api/events.list has what takes an event and is there."""
    folder = os.path.join(source, 'include')
    taking = set()
    for name in sorted(os.listdir(folder)):
        if not name.startswith('daos') or not name.endswith('.h'):
            continue
        with open(os.path.join(folder, name), encoding='utf-8') as f:
            text = re.sub(r'/\*.*?\*/', '', f.read(), flags=re.S)
        taking |= set(re.findall(r'\b(\w+)\s*\([^;{}()]*?\bdaos_event_t\s*\*\s*ev\)\s*;', text))
    with open(os.path.join(source, 'src', 'client', 'core', 'client_nosys.c'), encoding='utf-8') as f:
        missing = set(re.findall(r'^(daos_\w+)\(', f.read(), re.M))
    missing.add('daos_tx_restart')  # succeeds for nobody until daos_tx_open() does
    wanted = {name + '2' if name in PLAIN else name for name in taking - missing if not name.startswith('daos_event_')}
    with open(os.path.join(source, 'test', 'api', 'events.list'), encoding='utf-8') as lines:
        listed = {line.strip() for line in lines if line.strip() and not line.startswith('#')}
    return ['%s takes an event and is not in events.list' % name for name in sorted(wanted - listed)] + \
        ['%s of events.list takes no event' % name for name in sorted(listed - wanted)]


def main():
    source, build = sys.argv[1:3]
    libs = {os.path.basename(path).split('.')[0]: exports(path) for path in sys.argv[3:]}
    failed = False
    for name, check in [('only_public_names', check_only_public), ('every_declared_function', check_headers),
                        ('plain_and_current_names', check_plain_names), ('what_known_programs_use', check_programs),
                        ('calls_with_events', check_events)]:
        start = time.monotonic()
        bad = check(libs, source, build)
        for line in bad:
            print('    ' + line, file=sys.stderr)
        failed |= bool(bad)
        print('%s client_symbols.%s %d%s' % ('FAIL' if bad else 'ok', name, (time.monotonic() - start) * 1000,
                                             ' %d wrong' % len(bad) if bad else ''))
    sys.exit(1 if failed else 0)


main()
