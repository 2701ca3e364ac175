import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { programsIn } from '../../executor/find-program.ts';
import { findRuntime } from '../../executor/probe.ts';
import type { UserHost } from '../rootless.ts';
import { type DoctorHost, doctor, doctorTable, type Finding, isHealthy } from './doctor.ts';

const directory = mkdtempSync(join(tmpdir(), 'kiln-doctor-'));
test.after(() => rmSync(directory, { recursive: true, force: true }));

const FILES: Readonly<Record<string, string>> = {
  '/proc/self/status': 'NoNewPrivs:\t0\nSeccomp:\t0\n',
  '/proc/sys/user/max_user_namespaces': '96365\n',
};

function host(
  changes: Partial<DoctorHost> = {},
  files: Readonly<Record<string, string>> = FILES,
): DoctorHost {
  return {
    read: (path) => files[path],
    hasLibrary: () => true,
    program: (name) => `/usr/bin/${name}`,
    libdeflate: '/usr/lib/libdeflate.so.0',
    emulators: () => ({ registered: ['arm64', 'arm'], installed: [], isTableMounted: true }),
    runtime: (name) => findRuntime(programsIn(directory), name),
    mayMount: () => true,
    missingCapabilities: () => [],
    trees: () => ({ kind: 'overlay', marks: 'overlay' }),
    kernel: '6.1.0-42-amd64',
    uid: 0,
    ordinaryUser: () => user(true),
    network: () => ({ kind: 'nat', reasons: [], packages: [] }),
    nodeVersion: '24.21.0',
    ...changes,
  };
}

function user(hasUnshare: boolean, subids = 'someone:100000:65536\n'): UserHost {
  const find = (program: string) => (hasUnshare ? `/usr/bin/${program}` : undefined);
  const read = (path: string) => (path.startsWith('/etc/sub') ? subids : undefined);
  return { user: 'someone', uid: 1000, find, read, tryNamespace: () => undefined };
}

function finding(findings: readonly Finding[], name: string): Finding {
  const found = findings.find((candidate) => candidate.name === name);
  assert.ok(found, name);
  return found;
}

test('on a host that has everything all findings are ok', () => {
  const findings = doctor(join(directory, 'not/made/yet'), host());
  for (const name of [
    'node',
    'kernel',
    'privileges',
    'snapshotter',
    'user namespaces',
    'emulation',
    'libdeflate',
    'libseccomp',
    'git',
    'ssh',
  ])
    assert.ok(finding(findings, name).ok, name);
  assert.is(finding(findings, 'ssh').value, '/usr/bin/ssh');
  assert.is(finding(findings, 'emulation').value, 'qemu for aarch64, arm');
  assert.match(finding(findings, 'store').value, /not\/made\/yet, \d+\.\d GiB free/);
});

test('without a runtime the host is not healthy, and the fix installs crun', () => {
  const findings = doctor(directory, host());
  assert.not(isHealthy(findings));
  assert.match(finding(findings, 'runtime').fix ?? '', / crun$/);
  assert.equal(
    findings.filter(({ ok, needed }) => !ok && needed).map(({ name }) => name),
    ['runtime'],
  );
});

test('each finding that is not ok says how to fix it', () => {
  const findings = doctor(
    directory,
    host(
      {
        emulators: () => ({ registered: [], installed: [], isTableMounted: false }),
        hasLibrary: () => false,
        program: () => undefined,
        libdeflate: undefined,
        trees: () => {
          throw new KilnError('KILN_STORE_FILE_SYSTEM', 'the store lies on vfat', {
            hint: 'another',
          });
        },
        kernel: '5.4.0',
        uid: 1000,
        ordinaryUser: () => ({ ...user(false), read: () => '0' }),
        nodeVersion: '20.20.0',
      },
      { '/proc/sys/user/max_user_namespaces': '0' },
    ),
  );
  for (const name of ['node', 'kernel', 'privileges', 'snapshotter', 'runtime']) {
    assert.not(finding(findings, name).ok, name);
    assert.ok(finding(findings, name).needed, name);
  }
  for (const { ok, fix, name } of findings) if (!ok) assert.ok(fix, name);
  for (const name of ['git', 'ssh']) assert.not(finding(findings, name).needed, name);
  assert.is(finding(findings, 'git').value, 'not installed: builds cannot read git repositories');
  assert.is(finding(findings, 'snapshotter').value, 'the store lies on vfat');
  assert.is(
    finding(findings, 'user namespaces').fix,
    'sudo sysctl -w user.max_user_namespaces=15000',
  );
  assert.match(
    finding(findings, 'privileges').fix ?? '',
    'sysctl -w user.max_user_namespaces=15000',
  );
});

test('an ordinary user needs subordinate ids, and the fix says how to get them', () => {
  const privileges = (ordinary: UserHost) =>
    finding(doctor(directory, host({ uid: 1000, ordinaryUser: () => ordinary })), 'privileges');
  const able = user(true);
  assert.is(privileges(able).value, 'user 1000, in a user namespace');
  const others = 'other:100000:65536\nanother:300000:65536\n';
  const alone = privileges(user(true, others));
  assert.equal([alone.ok, alone.needed], [false, false]);
  assert.is(
    alone.fix,
    'sudo usermod --add-subuids 365536-431071 --add-subgids 365536-431071 someone',
    'a range that no other user has',
  );
  const helpless = privileges({
    ...able,
    find: (program) => (program === 'unshare' ? '/usr/bin/unshare' : undefined),
  });
  assert.match(helpless.fix ?? '', /^sudo .*uidmap/);
  assert.not.match(helpless.fix ?? '', 'usermod');
  const nameless = privileges({ ...able, user: undefined });
  assert.equal([nameless.ok, nameless.needed], [false, false]);
  assert.match(nameless.value, 'has no name');
  assert.ok(privileges({ ...able, find: () => undefined }).needed);
  const refused = privileges({
    ...able,
    read: (path) => (path === '/proc/self/status' ? 'Seccomp:\t2\n' : undefined),
    tryNamespace: () => 'Operation not permitted',
  });
  assert.ok(refused.needed);
  assert.match(refused.fix ?? '', 'seccomp=unconfined');
});

test('an installed emulator is enough on a kernel with a table for each namespace', () => {
  const emulators = () => ({
    registered: [],
    installed: ['arm64', 'arm'],
    isTableMounted: false,
  });
  const emulation = (kernel: string) =>
    finding(doctor(directory, host({ emulators, kernel })), 'emulation');
  assert.is(
    emulation('6.12.1').value,
    'qemu for aarch64, arm, registered only for the steps that need it',
  );
  assert.match(emulation('6.1.0').fix ?? '', /^mount -t binfmt_misc/);
});

test('steps that use the host network are a finding with the reasons and a fix', () => {
  const shared = finding(
    doctor(
      directory,
      host({ network: () => ({ kind: 'host', reasons: ['a', 'b'], packages: ['nftables'] }) }),
    ),
    'network of steps',
  );
  assert.not(shared.ok || shared.needed);
  assert.is(
    shared.value,
    'the host network, unless networkFallback in kiln.toml says otherwise (a; b)',
  );
  assert.match(shared.fix ?? '', /nftables$/);
});

test('root in a container without the needed capabilities is a finding', () => {
  const privileges = finding(doctor(directory, host({ mayMount: () => false })), 'privileges');
  assert.match(privileges.value, /^root, but .*CAP_SYS_ADMIN.*builds without RUN/);
  assert.match(privileges.fix ?? '', '--privileged');
  const lacking = finding(
    doctor(directory, host({ missingCapabilities: () => ['CAP_MKNOD'] })),
    'privileges',
  );
  assert.equal([lacking.ok, lacking.needed, lacking.fix], [false, true, '--cap-add CAP_MKNOD']);
});

test('a store that copies trees is a finding with the reason and a fix', () => {
  const trees = () =>
    ({
      kind: 'copy',
      marks: 'socket',
      reason: 'overlay cannot be mounted (EINVAL) on overlayfs',
    }) as const;
  const found = finding(doctor(directory, host({ trees })), 'snapshotter');
  assert.equal([found.ok, found.needed], [false, false]);
  assert.match(found.value, /^copy: .*overlayfs/);
  assert.match(found.fix ?? '', 'KILN_ROOT');
});

test('a vulnerable runtime that is not used gives no warning', () => {
  const here = mkdtempSync(join(directory, 'both-'));
  const version = (text: string) => `#!/bin/sh\necho "${text}"\n`;
  writeFileSync(join(here, 'crun'), version('crun version 1.30'), { mode: 0o755 });
  writeFileSync(join(here, 'runc'), version('runc version 1.0.0'), { mode: 0o755 });
  const findings = doctor(
    directory,
    host({ runtime: (name) => findRuntime(programsIn(here), name) }),
  );
  assert.match(finding(findings, 'runc').value, /not used$/);
  assert.is(
    findings.find(({ name }) => name === 'runc warning'),
    undefined,
  );
});

test('the table marks what is needed and what is optional, then lists the fixes', () => {
  const text = doctorTable([
    { name: 'kernel', ok: true, needed: true, value: '6.1' },
    { name: 'runtime', ok: false, needed: true, value: 'none', fix: 'apt-get install -y crun' },
    {
      name: 'isa-l',
      ok: false,
      needed: false,
      value: 'not installed',
      fix: 'apt-get install -y libisal2',
    },
  ]);
  assert.is(
    text,
    [
      'ok         kernel    6.1',
      'MISSING    runtime   none',
      'optional   isa-l     not installed',
      '',
      'To fix:',
      '  runtime:   apt-get install -y crun',
      '  isa-l:     apt-get install -y libisal2',
      '',
    ].join('\n'),
  );
});

test.run();
