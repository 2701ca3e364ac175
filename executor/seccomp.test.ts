import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compileSeccomp } from './filter.ts';
import { defaultSeccomp, type SeccompProfile } from './seccomp.ts';
import { DEFAULT_CAPABILITIES } from './spec.ts';

function allowedNames(profile: SeccompProfile | undefined): Set<string> {
  const rules = profile?.syscalls.filter((rule) => rule.action === 'SCMP_ACT_ALLOW' && !rule.args) ?? [];
  return new Set(rules.flatMap((rule) => rule.names));
}

test('what makes namespaces, mounts or loads code into the kernel needs its capability', () => {
  const usual = allowedNames(defaultSeccomp(DEFAULT_CAPABILITIES, 'x64'));
  for (const name of [
    'mount',
    'umount2',
    'unshare',
    'setns',
    'bpf',
    'init_module',
    'kexec_load',
    'keyctl',
    'add_key',
    'userfaultfd',
    'io_uring_setup',
    'clone',
    'reboot',
  ])
    assert.not(usual.has(name), name);
  for (const name of ['read', 'execve', 'chroot', 'ptrace', 'statx', 'close_range', 'fchmodat2'])
    assert.ok(usual.has(name), name);
  const admin = allowedNames(defaultSeccomp(['CAP_SYS_ADMIN'], 'x64'));
  for (const name of ['mount', 'unshare', 'clone', 'clone3']) assert.ok(admin.has(name), name);
  assert.not(admin.has('init_module'));
});

test('programs of the smaller word size are filtered by the same rules', () => {
  assert.equal(defaultSeccomp([], 'x64')?.architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']);
  assert.equal(defaultSeccomp([], 'arm64')?.architectures, ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM']);
  assert.ok(allowedNames(defaultSeccomp([], 'arm64')).has('cacheflush'));
  assert.is(defaultSeccomp([], 'mips'), undefined);
});

test('clone3 says that it is not there, so that programs fall back to clone', () => {
  const rule = defaultSeccomp(DEFAULT_CAPABILITIES, 'x64')?.syscalls.find(({ names }) => names[0] === 'clone3');
  assert.equal(rule, { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 });
});

test('the compiled profile is a row of instructions, the same each time', () => {
  const profile = defaultSeccomp(DEFAULT_CAPABILITIES);
  const directory = mkdtempSync(join(tmpdir(), 'kiln-seccomp-'));
  try {
    const programs = ['a', 'b'].map((name) => {
      const fd = openSync(join(directory, name), 'w');
      const done = profile !== undefined && compileSeccomp(profile, fd);
      closeSync(fd);
      return done ? readFileSync(join(directory, name)) : undefined;
    });
    if (!programs[0]) return console.log('SKIP compiled profile: no libseccomp for this CPU');
    assert.ok(programs[0].length > 1000);
    assert.is(programs[0].length % 8, 0);
    assert.equal(programs[0], programs[1]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test.run();
