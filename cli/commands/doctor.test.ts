import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { UserHost } from '../rootless.ts';
import { type DoctorHost, doctor, doctorTable, type Finding, isHealthy } from './doctor.ts';

const directory = mkdtempSync(join(tmpdir(), 'kiln-doctor-'));
test.after(() => rmSync(directory, { recursive: true, force: true }));

const FILES: Readonly<Record<string, string>> = {
  '/proc/self/status': 'CapEff:\t000001ffffffffff\n',
  '/proc/filesystems': 'nodev\tsysfs\nnodev\toverlay\n',
  '/proc/sys/user/max_user_namespaces': '96365\n',
};

function host(changes: Partial<DoctorHost> = {}, files: Readonly<Record<string, string>> = FILES): DoctorHost {
  return {
    read: (path) => files[path],
    list: () => ['register', 'status', 'qemu-aarch64', 'qemu-arm'],
    hasLibrary: () => true,
    kernel: '6.1.0-42-amd64',
    uid: 0,
    ordinaryUser: () => user(true),
    network: () => ({ kind: 'nat', reasons: [], packages: [] }),
    nodeVersion: '24.21.0',
    searchPath: directory,
    ...changes,
  };
}

function user(hasUnshare: boolean, subids = 'someone:100000:65536\n'): UserHost {
  return { user: 'someone', uid: 1000, searchPath: '/usr/bin', read: () => subids, isExecutable: () => hasUnshare };
}

function finding(findings: readonly Finding[], name: string): Finding {
  const found = findings.find((candidate) => candidate.name === name);
  assert.ok(found, name);
  return found;
}

test('what is there is well', () => {
  const findings = doctor(join(directory, 'not/made/yet'), host());
  for (const name of ['node', 'kernel', 'privileges', 'overlay', 'user namespaces', 'emulation', 'libdeflate', 'isa-l'])
    assert.ok(finding(findings, name).ok, name);
  assert.is(finding(findings, 'emulation').value, 'qemu for aarch64, arm');
  assert.match(finding(findings, 'store').value, /not\/made\/yet, \d+\.\d GiB free/);
});

test('no runtime is the one thing missing, with the command that installs one', () => {
  const findings = doctor(directory, host());
  assert.not(isHealthy(findings));
  assert.match(finding(findings, 'runtime').fix ?? '', / crun$/);
  assert.equal(
    findings.filter(({ ok, needed }) => !ok && needed).map(({ name }) => name),
    ['runtime'],
  );
});

test('each thing that is not well says how it is mended', () => {
  const findings = doctor(
    directory,
    host(
      {
        list: () => [],
        hasLibrary: () => false,
        kernel: '5.4.0',
        uid: 1000,
        ordinaryUser: () => user(false),
        nodeVersion: '20.20.0',
      },
      { '/proc/sys/user/max_user_namespaces': '0' },
    ),
  );
  for (const name of ['node', 'kernel', 'privileges', 'overlay', 'runtime']) {
    assert.not(finding(findings, name).ok, name);
    assert.ok(finding(findings, name).needed, name);
  }
  for (const { ok, fix, name } of findings) if (!ok) assert.ok(fix, name);
  assert.is(finding(findings, 'overlay').fix, 'modprobe overlay');
  assert.is(finding(findings, 'user namespaces').fix, 'sysctl -w user.max_user_namespaces=15000');
  assert.match(finding(findings, 'privileges').fix ?? '', 'sysctl -w user.max_user_namespaces=15000');
});

test('an ordinary user is well with subordinate ids, and told how to get some', () => {
  const privileges = (ordinary: UserHost) =>
    finding(doctor(directory, host({ uid: 1000, ordinaryUser: () => ordinary })), 'privileges');
  const able: UserHost = { ...user(true), read: (path) => (path.startsWith('/etc/') ? 'someone:100000:65536' : undefined) };
  assert.is(privileges(able).value, 'user 1000, in a user namespace');
  const alone = privileges({ ...able, read: () => undefined });
  assert.equal([alone.ok, alone.needed], [false, false]);
  assert.match(alone.fix ?? '', '--add-subuids');
  assert.ok(privileges({ ...able, isExecutable: () => false }).needed);
});

test('an emulator that is only installed will do on a kernel with private tables', () => {
  const list = (path: string) => (path === '/usr/bin' ? ['qemu-arm-static', 'qemu-aarch64-static', 'qemu-img'] : []);
  const emulation = (kernel: string) => finding(doctor(directory, host({ list, kernel })), 'emulation');
  assert.is(emulation('6.12.1').value, 'qemu for aarch64, arm, known to the steps that need it alone');
  assert.match(emulation('6.1.0').fix ?? '', /^mount -t binfmt_misc/);
});

test('steps that share the network of the host are a finding, with reason and remedy', () => {
  const shared = finding(
    doctor(directory, host({ network: () => ({ kind: 'host', reasons: ['a', 'b'], packages: ['nftables'] }) })),
    'network of steps',
  );
  assert.not(shared.ok || shared.needed);
  assert.is(shared.value, "the host's, shared (a; b)");
  assert.match(shared.fix ?? '', /nftables$/);
});

test('root in a container without CAP_SYS_ADMIN is not enough', () => {
  const findings = doctor(directory, host({}, { ...FILES, '/proc/self/status': 'CapEff:\t00000000a80425fb\n' }));
  assert.is(finding(findings, 'privileges').value, 'root without CAP_SYS_ADMIN');
});

test('the table marks what is missing and what is merely useful, then lists the fixes', () => {
  const text = doctorTable([
    { name: 'kernel', ok: true, needed: true, value: '6.1' },
    { name: 'runtime', ok: false, needed: true, value: 'none', fix: 'apt-get install -y crun' },
    { name: 'isa-l', ok: false, needed: false, value: 'not there', fix: 'apt-get install -y libisal2' },
  ]);
  assert.is(
    text,
    [
      'ok         kernel    6.1',
      'MISSING    runtime   none',
      'optional   isa-l     not there',
      '',
      'To mend:',
      '  runtime:   apt-get install -y crun',
      '  isa-l:     apt-get install -y libisal2',
      '',
    ].join('\n'),
  );
});

test.run();
