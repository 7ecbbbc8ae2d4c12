#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Goal: ddb shows what is there, changes nothing, finds every planted damage and names it, and calls nothing sound that is not.
Method: ddb_make writes a target with known contents, cleanly closed or killed with half of it in the log, in files, on tmpfs, on one, two and three devices; each command is
run on it and compared; then bytes are changed, with the checksums above them made right where the damage shall lie deeper. What is about the bytes alone runs on tmpfs: no other
process's use of the disks makes it slow.

usage: ddb_test.py DDB DDB_MAKE [TEST...]
"""
import fcntl
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib

DDB, MAKE = sys.argv[1:3]
POOL, POOL2 = 'a1000000-0000-0000-0000-000000000000', 'a2000000-0000-0000-0000-000000000000'
CONT, CONT2 = 'b1000000-0000-0000-0000-000000000000', 'b2000000-0000-0000-0000-000000000000'
BASE = '/%s/%s' % (POOL, CONT)
ARR = BASE + '/144115188075855872.2.0.0'
BIG = bytes((i * 7 + i // 256) & 255 for i in range(100000))
BIG2 = bytes((i * 13 + i // 256) & 255 for i in range(100000))
FLIPS = int(os.environ.get('DDB_FLIPS', '5'))  # on each layout
SEED = int(os.environ.get('DDB_SEED', '1'))


class Failure(Exception):
    pass


def expect(cond, text):
    if not cond:
        raise Failure(text)


def equal(got, want, what):
    expect(got == want, '%s: %r instead of %r' % (what, got, want))


def run(*args, stdin=None):
    """(exit status, standard output, standard error); never a signal, never a hang."""
    proc = subprocess.run([DDB] + list(args), stdin=subprocess.DEVNULL if stdin is None else None, input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, timeout=120)
    expect(proc.returncode in (0, 1, 2), '%s: status %d\n%s' % (' '.join(args), proc.returncode, proc.stderr.decode(errors='replace')[-3000:]))
    return proc.returncode, proc.stdout, proc.stderr.decode(errors='replace')


def ask(*args, status=0):
    """The parsed answer of one command."""
    code, out, err = run('--json', *args)
    try:
        rep = json.loads(out)
    except ValueError:
        raise Failure('%s: no JSON: %r %s' % (args, out[:300], err)) from None
    equal(code, status, '%s: status; %s %s' % (' '.join(args), rep['error'], rep['damage'][:3]))
    equal(rep['exit_status'], code, 'exit_status')
    return rep


def response(*args):
    rep = ask(*args)
    equal(rep['damage'], [], 'damage')
    equal(rep['status'], 0, 'status')
    return rep['response']


def make(path, how, *devs):
    proc = subprocess.run([MAKE, path, how] + list(devs), stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=300)
    expect(proc.returncode == 0, 'ddb_make: ' + proc.stderr.decode())
    return {n: int(e) for n, e in (line.split() for line in proc.stdout.decode().splitlines())}


def images(*paths):
    """All bytes of files and of directories."""
    sums = {}
    for path in paths:
        names = [path] if os.path.isfile(path) else [os.path.join(f, n) for f, _, ns in os.walk(path) for n in ns]
        for name in names:
            st = os.stat(name)
            crc = 0
            with open(name, 'rb') as f:
                for data in iter(lambda: f.read(1 << 20), b''):
                    crc = zlib.crc32(data, crc)
            sums[name] = (crc, st.st_mtime_ns, st.st_size, st.st_blocks)
    return sums


COMMANDS = ['ls', 'ls -r -d', 'ls -r', 'value_dump %s/0.1.0.0/alpha/one' % BASE, 'ilog_dump %s/0.1.0.0/gone' % BASE, 'stat', 'req_dump', 'gc_dump',
            'superblock_dump', 'dev_list', 'ckpt_dump', 'map_dump', 'map_dump --used', 'log_dump', 'log_dump --ranges', 'arena_dump', 'vea_dump',
            'check', 'check --no-data', 'help', 'version']


def everything(*args):
    """What is in the trees, as JSON, and the large values: for comparison."""
    rep = ask(*args, 'ls', '-r', '-d')
    values = [ask(*args, 'value_dump', p)['response'] for p in
              (BASE + '/0.1.0.0/alpha/one', BASE + '/0.1.0.0/alpha/big', ARR + '/{uint64: 7}/arr', ARR + '/{uint64: 8}/arr')]
    return json.dumps([rep['response'], values], sort_keys=True)


# ---- what is there ---------------------------------------------------------------------------------------------------

def check_contents(target, epochs, *opts):
    rep = response(*opts, target, 'check')
    equal(rep['verdict'], 'sound', 'verdict')
    equal((rep['pools'], rep['versions'], rep['notes']), (2, 209, []), 'counts')
    pools = response(*opts, target, 'ls')['entries']
    equal([(p['index'], p['type'], p['name']) for p in pools], [(0, 'pool', POOL), (1, 'pool', POOL2)], 'pools')
    conts = response(*opts, target, 'ls', '/[0]')['entries']
    equal([(c['name'], c['objects']) for c in conts], [(CONT, 3), (CONT2, 0)], 'containers')
    objs = {o['name']: o for o in response(*opts, target, 'ls', '/%s/[0]' % POOL)['entries']}
    equal(sorted(objs), ['0.1.0.0', '0.3.0.0', '144115188075855872.2.0.0'], 'objects')
    equal(objs['0.1.0.0']['epoch_max'], epochs['gone.punch'], 'newest change')
    dkeys = {k['name']: k for k in response(*opts, target, 'ls', BASE + '/0.1.0.0')['entries']}
    equal(sorted(dkeys), ['alpha', 'gone', '{bin: 0x62002fff}'], 'dkeys')
    equal((dkeys['gone']['state'], dkeys['gone']['punched']['epoch']), ('punched', epochs['gone.punch']), 'punched dkey')
    equal((dkeys['alpha']['state'], dkeys['alpha']['created']['epoch']), ('visible', epochs['one.old']), 'dkey')
    equal(len(response(*opts, target, 'ls', BASE + '/0.3.0.0')['entries']), 200, 'many dkeys')
    versions = response(*opts, target, 'ls', BASE + '/0.1.0.0/alpha/one', '-d')['entries']
    equal([(v['epoch'], v['state'], v['size'], v['in'], len(v['csums'])) for v in versions],
          [(epochs['one.old'], 'covered', 5, 'metadata', 8), (epochs['one.new'], 'visible', 11, 'metadata', 8)], 'versions')
    akeys = response(*opts, target, 'ls', ARR + '/{uint64: 7}')['entries']
    equal([(a['name'], a['value_type'], a['record_size']) for a in akeys], [('arr', 'array', 1)], 'akeys')
    parts = [(e['index'], e['first'], e['last'], e['part_first'], e['part_last'], e['state'], e['hole'])
             for e in response(*opts, target, 'ls', ARR + '/{uint64: 7}/arr')['entries']]
    equal(parts, [(0, 0, 99, 0, 19, 'visible', False), (0, 0, 99, 20, 29, 'covered', False), (0, 0, 99, 30, 49, 'visible', False),
                  (0, 0, 99, 50, 69, 'covered', False), (0, 0, 99, 70, 99, 'visible', False), (1, 20, 29, 20, 29, 'visible', True),
                  (2, 50, 69, 50, 69, 'visible', False)], 'extents')


def check_values(target, epochs, *opts):
    def pieces(path):
        return [(p['offset'], bytes.fromhex(p['hex'])) for p in response(*opts, target, 'value_dump', path)['pieces']]

    one = BASE + '/0.1.0.0/alpha/one'
    equal(pieces(one), [(0, b'hello world')], 'value')
    equal(pieces('/[0]/[0]/0.1/alpha/[0]/[0]')[0][1] in (b'hello', BIG), True, 'value by index')
    equal(pieces(one + '/[0]'), [(0, b'hello')], 'old version by index')
    equal(pieces(one + '/@%d' % epochs['one.old']), [(0, b'hello')], 'old version by epoch')
    equal(pieces(one + '/@%d.1' % epochs['one.new']), [(0, b'hello world')], 'version by epoch and minor epoch')
    equal(pieces(BASE + '/0.1.0.0/alpha/big'), [(0, BIG)], 'large value')
    equal(pieces(BASE + '/0.1.0.0/{bin: 0x62002fff}/x'), [(0, b'binary key')], 'binary key')
    equal(sorted(pieces(ARR + '/{uint64: 7}/arr')),
          [(0, b'a' * 20), (30, b'a' * 20), (50, b'b' * 20), (70, b'a' * 30)], 'visible part of an array')
    equal(pieces(ARR + '/{uint64: 7}/arr/{0-99}'), [(0, b'a' * 100)], 'an extent')
    equal(pieces(ARR + '/{uint64: 7}/arr/[50-69]@%d' % epochs['arr.b']), [(0, b'b' * 20)], 'an extent by epoch')
    equal(pieces(ARR + '/{uint64: 0x8}/arr'), [(4096, BIG2)], 'extent in the data role')
    code, out, _ = run(*opts, target, 'value_dump', one, '-')
    equal((code, out), (0, b'hello world'), 'raw output')
    with tempfile.NamedTemporaryFile() as f:
        equal(response(*opts, target, 'value_dump', ARR + '/{uint64: 8}/arr', f.name)['bytes'], 100000, 'bytes to a file')
        with open(f.name, 'rb') as again:
            data = again.read()
        expect(data == bytes(4096) + BIG2, 'file of an array')
    code, out, _ = run(*opts, target, 'value_dump', one)
    expect(code == 0 and b'68 65 6c 6c 6f 20' in out and b'hello world' in out, 'hexadecimal output: %r' % out)


def check_records(target, epochs, is_killed, *opts):
    events = response(*opts, target, 'ilog_dump', BASE + '/0.1.0.0/gone')['events']
    equal([(e['epoch'], e['create_minor'] > 0, e['punch_minor'] > 0) for e in events],
          [(epochs['gone.put'], True, False), (epochs['gone.punch'], False, True)], 'incarnation log')
    stat = response(*opts, target, 'stat')
    expect(stat['epoch_bound'] >= epochs['k199'], 'epoch bound')
    expect(is_killed == (stat['replayed_records'] > 0), 'replayed records')
    equal([p['uuid'] for p in stat['pools']], [POOL, POOL2], 'pools')
    cont = stat['pools'][0]['containers'][0]
    equal((cont['uuid'], cont['objects'], cont['epoch_max'], cont['aggregated_to']), (CONT, 3, epochs['k199'], 0), 'container')
    expect(cont['data_used'] >= 200000 and stat['pools'][0]['meta_quota'] == 8 << 20, 'space')
    equal(stat['pools'][0]['scrub_start_ns'], 0, 'scrub state')
    for args in ([], [POOL], ['[0]']):
        reqs = response(*opts, target, 'req_dump', *args)['requests']
        equal([(r['client'][:4], r['slot'], r['seq'], r['epoch'], r['result']) for r in reqs],
              [('c100', 3, 210, epochs['k199'], b'done'.hex())], 'request table')
    equal(response(*opts, target, 'gc_dump')['queue'], [], 'queue')
    log = response(*opts, target, 'log_dump', '--ranges')
    equal(len(log['records']) > 0, is_killed, 'records in the log')
    equal(sum(g['records'] for g in log['groups']), len(log['records']), 'records of groups')
    for rec in log['records']:
        equal(len(rec['ranges']), rec['ranges_nr'], 'ranges')
    if is_killed:
        equal(log['end']['last_lsn'], log['records'][-1]['lsn'], 'end of the log')
        expect(any(r['shard'] == 1 for r in log['records']), 'shard')
    ckpt = response(*opts, target, 'ckpt_dump')
    equal([h['offset'] for h in ckpt['headers']], [4096, 8192], 'headers')
    equal(sum(h['counts'] for h in ckpt['headers']), 1, 'the header that counts')
    pages = response(*opts, target, 'map_dump')
    equal(sum(p['slot'] > 0 for p in pages['pages']), pages['slots_used'], 'slots')
    equal(pages['pages'][0]['kind'], 'system', 'root page')
    arena = response(*opts, target, 'arena_dump')
    equal(sum(c['live'] * c['bytes'] for c in arena['classes']), arena['used_bytes'], 'live blocks')
    vea = response(*opts, target, 'vea_dump')
    equal(vea['allocated_bytes'], 2 * 102400, 'allocated extents')
    equal(sum(r['runs'] for r in vea['runs']), vea['free_runs'], 'free runs')
    sbs = response(*opts, target, 'superblock_dump')['superblocks']
    equal([(s['role'], s['state'], s['arena_bytes'], s['target']) for s in sbs],
          [(r, 'good', 16 << 20, 0) for r in ('target', 'wal', 'meta', 'data')], 'superblocks')


def look_at(top, name, how, devs):
    path = os.path.join(top, name)
    files = ['%s=%s' % (d, path + '.dev%d' % i) for i, d in enumerate(devs)]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    epochs = make(path, how, *files)
    opts = [o for f in files for o in ('-d', f.split('=')[1])]
    target = path if not files else files[0].split('=')[1]
    if files:
        opts += ['--target=0']
    paths = [p for p in [path] + [f.split('=')[1] for f in files] if os.path.exists(p)]
    before = images(*paths)
    check_contents(target, epochs, *opts)
    check_values(target, epochs, *opts)
    check_records(target, epochs, how == 'killed', *opts)
    roles = response(*opts, target, 'dev_list')
    equal([r['is_device'] for r in roles['roles']], [bool(files)] * 3, 'devices')
    equal(len(roles['devices']), len(files), 'devices')
    code, out, err = run(*opts, target, stdin='\n'.join(COMMANDS).encode())
    equal((code, err), (0, ''), 'all commands as text')
    expect(b'sound' in out, 'verdict as text')
    expect(images(*paths) == before, 'something was written')
    return target, opts


def check_files(top):
    look_at(top, 'files', 'closed', [])


def check_killed(top):
    look_at(top, 'killed', 'killed', [])


def check_tmpfs(top):
    look_at(top, 'ram', 'closed', [])
    look_at(top, 'ram-killed', 'killed', [])


def check_tmpfs_devices(top):
    look_at(top, 'dev1', 'killed', ['wmd'])
    look_at(top, 'dev2', 'closed', ['wm', 'd'])


def check_devices(top):
    target, opts = look_at(top, 'dev3', 'killed', ['w', 'm', 'd'])
    ask(target, 'check', status=2)  # several targets: which?
    ask('-t', '1', *opts[:6], target, 'check', status=2)  # not formatted
    devs = response(*opts, target, 'dev_list')['devices']
    equal([sorted({r['role'] for r in d['regions']}) for d in devs], [['target', 'wal'], ['meta'], ['data']], 'regions')
    with open(target, 'r+b') as f:
        f.seek(100)
        f.write(b'\xff')
    rep = ask(*opts, target, 'check', status=1)
    expect(any('label (offset 0)' in line for line in rep['damage']), 'damaged label: %r' % rep)


def check_transactions(top):
    path = os.path.join(top, 'prepared')
    epochs = make(path, 'prepared')
    before = images(path)
    rep = response(path, 'dtx_dump', BASE)
    equal([(o['uuid'][:4], o['hlc'], o['state'], o['epoch']) for o in rep['outcomes']],
          [('d800', 1002, 'committed', epochs['committed']), ('d900', 1003, 'aborted', epochs['aborted'])], 'outcomes')
    equal(rep['forgotten_to'], 0, 'forgotten outcomes')
    out = run(path, 'dtx_dump', BASE)[1].decode()
    expect('.1002 committed @%d' % epochs['committed'] in out and '.1003 aborted' in out and '.1001 prepared' in out, 'text: %s' % out)
    rep = rep['transactions']
    equal([(t['uuid'][:4], t['hlc'], t['state'], t['epoch']) for t in rep], [('d700', 1001, 'prepared', epochs['prepare'])], 'transaction')
    version = response(path, 'ls', BASE + '/0.1.0.0/alpha/one')['entries'][-1]
    equal((version['dtx'], version['epoch']), (rep[0]['lid'], epochs['prepare']), 'mark of its version')
    none = response(path, 'dtx_dump', '/[0]/[1]')
    equal((none['transactions'], none['outcomes']), ([], []), 'none')
    equal(ask(path, 'check')['response']['verdict'], 'sound', 'verdict')
    expect(images(path) == before, 'something was written')


# ---- running engines, usage ------------------------------------------------------------------------------------------

def check_running(top):
    home = os.path.join(top, 'engine')
    make(os.path.join(home, 'tgt0'), 'closed')
    open(os.path.join(home, 'identity'), 'wb').close()
    equal(ask('-t', '0', home, 'check')['response']['verdict'], 'sound', 'an engine\'s directory')
    rep = ask(home, 'check', status=2)  # the identity is damaged
    expect('--target' in rep['error'], rep['error'])
    with open(os.path.join(home, 'LOCK'), 'w+') as f:
        f.write('4711\n')
        f.flush()
        fcntl.flock(f, fcntl.LOCK_EX)
        for path, opts in ((home, ['-t', '0']), (os.path.join(home, 'tgt0'), [])):
            rep = ask(*opts, path, 'check', status=2)
            expect('running engine, process 4711' in rep['error'] and rep['status'] == -1012, rep['error'])
        fcntl.flock(f, fcntl.LOCK_UN)
        before = images(home)
        equal(ask(os.path.join(home, 'tgt0'), 'check')['response']['verdict'], 'sound', 'not running any more')
        expect(images(home) == before, 'something was written')
        with subprocess.Popen([DDB, os.path.join(home, 'tgt0')], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
            shell.stdin.write(b'version\n')
            shell.stdin.flush()
            shell.stdout.readline()
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                raise Failure('an engine could start while ddb looks')
            except BlockingIOError:
                pass
            run(os.path.join(home, 'tgt0'), 'stat')  # two may look
            shell.stdin.close()
            equal(shell.wait(timeout=60), 0, 'shell')


def check_usage(top):
    path = os.path.join(top, 'usage')
    make(path, 'closed')
    bad = [['--nonsense'], ['--target'], ['--json=1', path], [path, 'nonsense'], [path, 'ls', '-x'], [path, 'ls', '/[9]'], [path, 'ls', '/[x]'],
           [path, 'ls', '/' + CONT], [path, 'ls', BASE + '/7.7.0.0'], [path, 'ls', BASE + '/7'], [path, 'ls', BASE + '/0.1/{bin: 0x1}'],
           [path, 'ls', BASE + '/0.1/{uint64: x}'], [path, 'ls', BASE + '/0.1/nope'], [path, 'ls', BASE + '/0.1/alpha/one/[0]/x'],
           [path, 'ls', BASE + '/0.1/alpha/one/@12x'], [path, 'value_dump'], [path, 'value_dump', BASE], [path, 'value_dump', BASE + '/0.1/alpha/one', '/no/dir/x'],
           [path, 'ilog_dump', BASE], [path, 'check', '--all'], [path, 'map_dump', 'x'], [path, 'log_dump', 'x'], [path, 'stat', 'x'], ['/no/such/dir', 'check'],
           [top, 'check'], ['/dev/null', 'check'], ['-t', 'x', path, 'check'], ['-R', 'check', '-f', 'x', path], ['-f', '/no/such/file', path],
           ['-R', 'ls "', path], ['-R', 'ls {', path], [path, 'open'], [path, 'open', '/no/such/dir'], [path, 'close', 'x'], ['-s', '/no/such/dir', 'check'],
           [path, 'ls', '/' + 'x' * 5000], ['-R', 'a ' * 40, path]]
    for args in bad:
        code, _, err = run(*args)
        expect(code == 2 and err.startswith('ddb: ERROR: ') and err.count('\n') == 1, '%s: %d %r' % (args, code, err))
    equal(run()[0], 2, 'no arguments')
    equal(run('--help')[0], 0, '--help')
    expect(b'ddb version' in run('-v')[1], '-v')
    equal(json.loads(run('-j', '-R', 'version', path)[1])['response']['version'] != '', True, 'version')
    with tempfile.NamedTemporaryFile('w') as f:
        f.write('# comment\nls\n\nls "/[0]"\ncheck\nquit\nnonsense\n')
        f.flush()
        code, out, err = run('-f', f.name, path)
        equal((code, out.count(b'sound'), err), (0, 1, ''), 'a file of commands')
        f.write('')
    code, out, err = run(path, stdin=b'nonsense\nls\nclose\nls\nopen %s\nls\n' % path.encode())
    equal((code, out.count(b'[1] pool'), err.count('ERROR')), (2, 2, 2), 'errors do not end the commands')


# ---- damage ----------------------------------------------------------------------------------------------------------

CRC_TABLE = []
for _i in range(256):
    for _ in range(8):
        _i = _i >> 1 ^ (0x82f63b78 if _i & 1 else 0)
    CRC_TABLE.append(_i)


def crc32c(data, crc=0):
    crc ^= 0xffffffff
    for b in data:
        crc = CRC_TABLE[(crc ^ b) & 255] ^ crc >> 8
    return crc ^ 0xffffffff


class Image:
    """A target's files, or regions of devices, changed and put right again."""

    def __init__(self, path, devs=()):
        """Without devices `path` is the target's folder, with them they hold target 0."""
        self.args = [o for d in devs for o in ('-d', d)] + (['--target=0', devs[0]] if devs else [path])
        self.map = response(*self.args, 'map_dump')
        self.saved = []
        self.head = next(h for h in response(*self.args, 'ckpt_dump')['headers'] if h['counts'])
        self.roles = {name: (os.path.join(path, name), 0) for name in ('target', 'wal', 'meta', 'data')}
        if devs:
            listed = response(*self.args, 'dev_list')['devices']
            self.roles = {r['role']: (d['path'], r['offset']) for d in listed for r in d['regions'] if r['target'] == 0}

    def read(self, role, off, n):
        path, start = self.roles[role]
        with open(path, 'rb') as f:
            f.seek(start + off)
            return f.read(n)

    def poke_file(self, role, off, data):
        path, start = self.roles[role]
        with open(path, 'r+b') as f:
            f.seek(start + off)
            f.write(data)

    def write(self, role, off, data):
        old = self.read(role, off, len(data))
        self.saved.append((role, off, old))
        self.poke_file(role, off, data[:len(old)])

    def flip(self, role, off, mask=1):
        self.write(role, off, bytes([self.read(role, off, 1)[0] ^ mask]))

    def restore(self):
        for role, off, data in reversed(self.saved):
            self.poke_file(role, off, data)
        self.saved = []

    def page(self, n):
        return self.read('meta', self.map['pages'][n]['offset'], 16384)

    def poke(self, off, data):
        """Change bytes of the arena, and every checksum above them, as a fault of the program would."""
        page = self.map['pages'][off >> 14]
        mem = bytearray(self.page(off >> 14))
        mem[off & 16383:(off & 16383) + len(data)] = data
        self.write('meta', page['offset'], bytes(mem))
        leaf = max((x for x in self.map['leaves'] if x['first_page'] <= page['page']), key=lambda x: x['first_page'])
        entry = leaf['offset'] + 16 * (page['page'] - leaf['first_page'])
        self.write('meta', entry + 4, struct.pack('<I', crc32c(bytes(mem))))
        crcs = b''.join(struct.pack('<I', crc32c(self.read('meta', x['offset'], self.map['leaf_bytes']))) for x in self.map['leaves'])
        block = bytearray(self.read('meta', self.head['offset'], 4096))
        block[56:60] = struct.pack('<I', crc32c(crcs))
        block[4092:] = struct.pack('<I', crc32c(bytes(block[:4092])))
        self.write('meta', self.head['offset'], bytes(block))

    def occupy(self, page, nr):
        """Allocate the first `nr` free blocks of a page, which nobody gets; their offsets."""
        size = page['block_bytes']
        mem = self.page(page['page'])
        all_nr = (16384 - 64) // size
        start = 64 if all_nr <= 384 else 16 + 8 * ((all_nr + 63) // 64) + 15 & ~15
        free = [i for i in range(all_nr) if not mem[16 + i // 8] >> i % 8 & 1][:nr]
        for i in free:
            at = (page['page'] << 14) + 16 + i // 8
            leaf = max((x for x in self.map['leaves'] if x['first_page'] <= page['page']), key=lambda x: x['first_page'])
            entry = leaf['offset'] + 16 * (page['page'] - leaf['first_page'])
            word = struct.unpack('<Q', self.read('meta', entry + 8, 8))[0] - (1 << 53)
            self.write('meta', entry + 8, struct.pack('<Q', word))
            self.poke(at, bytes([self.page(page['page'])[16 + i // 8] | 1 << i % 8]))
        return [(page['page'] << 14) + start + i * size for i in free]

    def blocks(self, size, first=None):
        """Arena offsets of live blocks of a size, by their first byte."""
        for page in self.map['pages']:
            if page['block_bytes'] != size:
                continue
            mem = self.page(page['page'])
            nr = (16384 - 64) // size
            for i in range(nr):
                start = 64 if nr <= 384 else 16 + 8 * ((nr + 63) // 64) + 15 & ~15
                if mem[16 + i // 8] >> i % 8 & 1 and (first is None or mem[start + i * size] == first):
                    yield (page['page'] << 14) + start + i * size


def damaged(path, *words):
    """`check` says so, in a line with each of the words."""
    args = path if isinstance(path, list) else [path]
    rep = ask(*args, 'check', status=1)
    equal(rep['response']['verdict'] if rep['status'] == 0 else 'damaged', 'damaged', 'verdict')
    for word in words:
        expect(any(word in line for line in rep['damage']), '%r is not among %r' % (word, rep['damage'][:5]))
    run(*args, stdin=b'ls -r -d\nstat\nsuperblock_dump\nmap_dump\nlog_dump\nvea_dump\nreq_dump\n')  # ends
    return rep


def planted(path, image, what, *words):
    try:
        return damaged(path, *words)
    except Failure as e:
        raise Failure('%s: %s' % (what, e)) from None
    finally:
        image.restore()


def check_damage(top):
    path = os.path.join(top, 'damage')
    make(path, 'closed')
    image = Image(path)
    for role in ('target', 'wal', 'meta', 'data'):
        image.flip(role, 200)
        planted(path, image, 'superblock', '/%s: the superblock (offset 0) is damaged' % role)
    for off, role in ((0, 'target'), (0, 'wal')):
        image.flip(role, off)
        planted(path, image, 'magic', '/%s: not a file of a target' % role)
    leaf = image.map['leaves'][0]['offset']
    image.flip('meta', leaf + 20)
    planted(path, image, 'checksum in the slot map', 'meta: the slot map')
    image.write('meta', leaf + 32, b'\xff\xff\xff\x00')
    planted(path, image, 'slot in the slot map', 'meta: page 2 has impossible slot 16777215', 'leaf at file offset %d' % leaf)
    used = [p for p in image.map['pages'] if p['slot'] and p['kind'] == 'blocks']
    image.flip('meta', used[0]['offset'] + 8000)
    image.flip('meta', used[-1]['offset'] + 100)
    planted(path, image, 'pages', *['page %d at file offset %d is damaged' % (p['page'], p['offset']) for p in (used[0], used[-1])])
    image.flip('meta', image.map['pages'][1]['offset'] + 3)
    planted(path, image, 'directory', 'page 1 at file offset %d' % image.map['pages'][1]['offset'])
    image.flip('meta', image.map['pages'][0]['offset'] + 3)
    planted(path, image, 'root', 'page 0 at file offset %d' % image.map['pages'][0]['offset'])
    for off in (4096, 8192):
        image.write('meta', off, bytes(4096))
    planted(path, image, 'headers', 'meta: both checkpoint headers')
    for size in (0, 100, 1 << 20):
        shutil.copytree(path, path + '.cut')
        os.truncate(os.path.join(path + '.cut', 'meta'), size)
        planted(path + '.cut', image, 'cut', '/meta: shorter than')
        shutil.rmtree(path + '.cut')
    for role in ('wal', 'meta', 'data', 'target'):
        shutil.copytree(path, path + '.cut')
        os.unlink(os.path.join(path + '.cut', role))
        planted(path + '.cut', image, 'missing', '/%s: missing' % role)
        shutil.rmtree(path + '.cut')
    equal(ask(path, 'check')['response']['verdict'], 'sound', 'all was put right')


def check_deep_damage(top):
    """Damage that no checksum of a page shows."""
    path = os.path.join(top, 'deep')
    make(path, 'closed')
    image = Image(path)
    entries = response(path, 'ls', '-r', '-d')['entries']
    value = next(e for e in entries if e['type'] == 'value' and e['in'] == 'metadata' and e['size'] == 11)
    byte = image.page(value['address'] >> 14)[value['address'] & 16383]
    image.poke(value['address'], bytes([byte ^ 4]))
    planted(path, image, 'inline value', 'metadata arena: 11 bytes at', 'version @%d.1' % value['epoch'])
    record = int(value['record'], 16)
    image.poke(record, b'\x00')
    planted(path, image, 'record', 'at offset %s' % value['record'])
    obj = next(e for e in entries if e['type'] == 'object')
    image.poke(int(obj['record'], 16), b'\x11')
    planted(path, image, 'object', 'at offset %s' % obj['record'])
    node = next(image.blocks(512, 0xb7))
    image.poke(node + 4, b'\xff\x7f')
    planted(path, image, 'tree node', 'at offset %#x' % node)
    image.poke(node + 24, b'\xf8\xff\xff\xff\xff\x00\x00\x00')
    planted(path, image, 'pointer')
    page = next(p for p in image.map['pages'] if p['block_bytes'] == 512)
    bits = image.page(page['page'])[16]
    image.poke((page['page'] << 14) + 16, bytes([bits & 0xfe]))
    planted(path, image, 'bitmap of the arena', 'page %d of the arena' % page['page'])
    chunk = None
    for off in image.blocks(4080):
        mem = image.page(off >> 14)
        if mem[off & 16383] & 1 == 0 and any(mem[(off & 16383):(off & 16383) + 64]) and mem[(off & 16383) + 1] != 0x40:
            chunk = off
            if mem[(off & 16383)] & 6:
                break
    mem = image.page(chunk >> 14)[chunk & 16383:]
    image.poke(chunk, bytes(16))
    planted(path, image, 'free-space map, %r' % mem[:16], 'data')
    for off in (0, 50000, 99999):
        data = next(e for e in entries if e['path'].endswith('/big/@%d.1' % e['epoch'] if e['type'] == 'value' else '\n'))
        image.flip('data', data['address'] + off)
        planted(path, image, 'value in the data role', 'data: ', 'alpha/big')
    equal(ask(path, 'check')['response']['verdict'], 'sound', 'all was put right')
    equal(ask(path, 'check', '--no-data')['response']['notes'], ['values in the data role were not read'], 'note')


def check_reach(top):
    """What is allocated belongs to somebody, and to one alone."""
    path = os.path.join(top, 'reach')
    make(path, 'closed')
    image = Image(path)
    entries = response(path, 'ls', '-r', '-d')['entries']
    page = next(p for p in image.map['pages'] if p['block_bytes'] and p['free_blocks'] > 4)
    offs = image.occupy(page, 3)
    planted(path, image, 'leaked blocks', 'nothing refers to 3 blocks of the arena, %d bytes' % (3 * page['block_bytes']),
            *['the block of %d bytes at offset %#x is allocated, and nothing refers to it' % (page['block_bytes'], off) for off in offs])
    big, big2 = [e for e in entries if e['type'] in ('value', 'extent') and e['in'] == 'data']
    chunk = next(off for off in image.blocks(4080) if image.page(off >> 14)[(off & 16383) + big['address'] // 32768] & 1 << big['address'] // 4096 % 8
                 and image.page(off >> 14)[off & 16383] & 1 == 0)
    image.poke(chunk + 250, b'\x0f')
    planted(path, image, 'leaked extent', '16384 bytes at %#x are allocated, and nothing refers to them' % (2000 * 4096))
    at = chunk + big['address'] // 32768
    image.poke(at, bytes([image.page(at >> 14)[at & 16383] & ~(1 << big['address'] // 4096 % 8)]))
    planted(path, image, 'extent that is free', 'data: the block at %#x is free, and something refers to it' % big['address'])
    record = int(big2['record'], 16)
    mem = image.page(record >> 14)[record & 16383:][:64]
    image.poke(record + mem.index(struct.pack('<Q', big2['address'])), struct.pack('<Q', big['address']))
    rep = planted(path, image, 'extent of two', 'data: the block at %#x is referred to twice' % big['address'])
    expect(any('nothing refers to 0 blocks of the arena, 0 bytes, nor to %d bytes' % 102400 in line for line in rep['damage']), 'and the other of none')
    client = int(response(path, 'req_dump')['requests'][0]['record'], 16)
    group = image.page(client >> 14)[(client & 16383) + 32:][:8]
    image.poke(client + 40, group)
    planted(path, image, 'block of two', 'arena: the block at offset %#x is referred to twice' % struct.unpack('<Q', group)[0])
    image.poke(client + 40, struct.pack('<Q', struct.unpack('<Q', group)[0] + 8))
    planted(path, image, 'pointer into a block', 'bad slots record')
    equal(ask(path, 'check')['response']['verdict'], 'sound', 'all was put right')


def check_behind(top):
    """What lies behind a damaged node or page of a tree is shown, and what is lost is named."""
    path = os.path.join(top, 'behind')
    make(path, 'closed')
    image = Image(path)
    many = BASE + '/0.3.0.0'
    keys = [e['name'] for e in response(path, 'ls', many)['entries']]
    equal(len(keys), 200, 'keys')
    # Leaves of the only hashed tree of keys that has nodes.
    leaves = [off for off in image.blocks(512, 0xb7) if image.page(off >> 14)[(off & 16383) + 1:][:2] == b'\x04\x00']
    expect(len(leaves) > 5, 'leaves')
    for off in leaves[1:4]:
        mem = image.page(off >> 14)[off & 16383:]
        nr = struct.unpack('<H', mem[4:6])[0]
        first = struct.unpack('<Q', mem[16:24])[0]
        image.poke(off, b'\x00')
        rep = ask(path, 'ls', many, status=1)
        left = [e['name'] for e in rep['response']['entries']]
        equal((len(left), set(left) <= set(keys)), (200 - nr, True), 'keys beside a damaged leaf of %d' % nr)
        expect(any('leaves out what lies between' in line for line in rep['damage']), 'what the listing leaves out: %r' % rep['damage'])
        equal(ask(path, 'ls', many + '/' + left[-1], status=1)['response']['entries'][0]['name'], 'v', 'a key behind')
        equal(run(path, 'ls', many + '/' + next(k for k in keys if k not in left))[0], 1, 'a key of the leaf')
        rep = damaged(path, 'lost: dkeys of hash', 'at offset %#x' % off)
        lost = rep['response']['lost']
        equal([(x['what'], x['below'], x['error']) for x in lost], [('dkeys', many, 'DER_DF_INVAL')], 'what is lost')
        expect(int(lost[0]['first'], 16) <= first <= int(lost[0]['last'], 16), 'keys of the leaf: %r, %#x' % (lost, first))
        expect(any('which are allocated: what lies behind the damage, or leaks' in line for line in rep['damage']), 'behind')
        code, _, err = run(path, 'check')
        expect(code == 1 and 'lost: dkeys of hash' in err, 'text: ' + err)
        image.restore()
    # The same of a whole page, whose checksum is wrong: some of the leaves, and no page is asked for twice without end.
    page = image.map['pages'][leaves[0] >> 14]
    in_page = sum(struct.unpack('<H', image.page(off >> 14)[(off & 16383) + 4:][:2])[0] for off in leaves if off >> 14 == page['page'])
    image.flip('meta', page['offset'] + 16000)
    rep = damaged(path, 'page %d at file offset %d is damaged' % (page['page'], page['offset']))
    expect(rep['response']['lost'], 'lost of a page')
    image.restore()
    record = int(next(e for e in response(path, 'ls', '-d', many)['entries'] if e['name'] == keys[100])['record'], 16)
    image.poke(record, b'\x13')
    rep = ask(path, 'ls', many, status=1)
    equal([e['name'] for e in rep['response']['entries']], keys[:100] + keys[101:], 'keys beside a damaged record; %d' % in_page)
    image.restore()
    equal(ask(path, 'check')['response']['lost'], [], 'all was put right')


# More of them with more flips.
LOG_LAYOUTS = [['w', 'm', 'd'], ['wmd'], ['wm', 'd']]


def check_log_damage(top):
    for n, roles in enumerate([[]] + LOG_LAYOUTS[:1 if FLIPS < 100 else None]):
        log_damage(image_make(top, 'log%d' % n, 'killed', roles))


def log_damage(image):
    path = image.args
    groups = response(*path, 'log_dump')['groups']
    expect(len(groups) > 10, 'groups')
    for n in (0, len(groups) // 2, len(groups) - 2):
        image.flip('wal', groups[n]['offset'] + groups[n]['bytes'] - 1)
        rep = planted(path, image, 'record of the log', 'wal: the log is damaged at block %d (file offset %d)' % (groups[n]['pos'], groups[n]['offset']))
        expect(rep['response']['versions'] < 209, 'what is behind the damage was replayed')
    # The last group: in its first round of the ring each of its sectors can be told from what was there before.
    n = max(n for n, g in enumerate(groups) if 600 < g['bytes'] <= 4096)
    big = groups[n]
    for last, later, offs in ((groups[-1], [], (70, 0, 8, 60)), (big, groups[n + 1:], (70, 1, 4, 9, 17, big['bytes'] - 4))):
        for off in offs:
            for g in later:
                image.write('wal', g['offset'], bytes(-(-g['bytes'] // 4096) * 4096))
            image.flip('wal', last['offset'] + off)
            if off == 70:
                equal(ask(*path, 'log_dump')['response']['end']['is_damaged'], True, 'in log_dump')
                expect(b'written whole' in run(*path, 'log_dump')[1], 'in log_dump as text')
            planted(path, image, 'last group, byte %d' % off, 'the group at block %d (file offset %d), the last one, was written whole' % (last['pos'], last['offset']))
    # One of its sectors was not written: torn.
    for off, size in ((0, 512), (512, big['bytes'] - 512), (0, big['bytes'])):
        for g in groups[n + 1:]:
            image.write('wal', g['offset'], bytes(-(-g['bytes'] // 4096) * 4096))
        image.write('wal', big['offset'] + off, bytes(size))
        rep = ask(*path, 'check')
        image.restore()
        equal((rep['response']['verdict'], rep['response']['notes'] != []), ('sound', off == 512), 'torn end: %r' % rep)
    equal(ask(*path, 'check')['response']['verdict'], 'sound', 'all was put right')


# Folder or devices, by the roles on each; closed or killed.
LAYOUTS = [('closed', []), ('killed', []), ('killed', ['wmd']), ('closed', ['wm', 'd']), ('killed', ['w', 'm', 'd'])]


def image_make(top, name, how, roles):
    path = os.path.join(top, name)
    devs = [path + '.dev%d' % i for i in range(len(roles))]
    make(path, how, *['%s=%s' % (r, d) for r, d in zip(roles, devs)])
    return Image(path, devs)


def check_flips(top):
    """Whatever byte changes: a verdict, and a sound one only when everything reads as before."""
    rng = random.Random(SEED)
    hits = 0
    for n, (how, roles) in enumerate(LAYOUTS):
        image = image_make(top, 'flips-%d' % n, how, roles)
        want = everything(*image.args)
        groups = response(*image.args, 'log_dump')['groups']
        places = [('meta', p['offset'], 16384) for p in image.map['pages'] if p['slot']]
        places += [('meta', leaf['offset'], 16 * len(image.map['pages'])) for leaf in image.map['leaves']]
        places += [('meta', 4096, 8192), ('wal', 0, 4096), ('data', 0, 4096), ('target', 0, 4096), ('data', 4096, 204800)]
        places += [('target', 4096, 512)] if roles else []  # the seal
        places += [('wal', g['offset'], g['bytes']) for g in groups[:-4]]
        for _ in range(FLIPS):
            role, off, size = rng.choice(places)
            off += rng.randrange(size)
            image.write(role, off, bytes(rng.randrange(256) for _ in range(rng.choice((1, 1, 1, 8, 64)))))
            code, out, _ = run('-j', *image.args, 'check')
            rep = json.loads(out)
            run(*image.args, 'ls', '-r', '-d')
            if code == 0:
                got = everything(*image.args)
                expect(got == want, '%s %r %s at %d: sound, and is not what it was: seed %d' % (how, roles, role, off, SEED))
            else:
                expect(rep['damage'] or rep['error'], 'no word of %s at %d' % (role, off))
                hits += 1
            image.restore()
        expect(everything(*image.args) == want, 'all was put right')
    expect(hits * 2 > FLIPS * len(LAYOUTS), 'of %d changes only %d were found' % (FLIPS * len(LAYOUTS), hits))


# On disks, with direct I/O; in memory.
ON_DISK = [('files', check_files), ('killed', check_killed), ('devices', check_devices)]
CHECKS = ON_DISK + [
    ('tmpfs', check_tmpfs), ('tmpfs_devices', check_tmpfs_devices), ('transactions', check_transactions), ('running', check_running), ('usage', check_usage),
    ('damage', check_damage), ('deep_damage', check_deep_damage), ('reach', check_reach), ('behind', check_behind), ('log_damage', check_log_damage), ('flips', check_flips)]


def main():
    bad = False
    for name, check in CHECKS:
        if sys.argv[3:] and name not in sys.argv[3:]:
            continue
        start = time.monotonic()
        status, why = 'ok', ''
        with tempfile.TemporaryDirectory(prefix='cairn-ddb-', dir=None if (name, check) in ON_DISK else '/dev/shm') as top:
            try:
                check(top)
            except (Failure, subprocess.TimeoutExpired) as e:
                print(str(e), file=sys.stderr)
                status, bad, why = 'FAIL', True, ' ' + str(e).splitlines()[0][:160]
        print('%s ddb.%s %d%s' % (status, name, (time.monotonic() - start) * 1000, why), flush=True)
    return 1 if bad else 0


sys.exit(main())
