import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openLibrary } from '../snapshotter/sys/native.ts';
import { FILTER_ARCHITECTURES, verdict } from './bpf-fixture.ts';
import { DEFAULT_CAPABILITIES } from './capabilities.ts';
import { compileSeccomp } from './filter.ts';
import { defaultSeccomp, type SeccompProfile } from './seccomp.ts';

function allowedNames(profile: SeccompProfile | undefined): Set<string> {
  const rules =
    profile?.syscalls.filter((rule) => rule.action === 'SCMP_ACT_ALLOW' && !rule.args) ?? [];
  return new Set(rules.flatMap((rule) => rule.names));
}

test('calls that make namespaces, mount or load kernel code need their capability', () => {
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
  assert.equal(defaultSeccomp([], 'x64')?.architectures, [
    'SCMP_ARCH_X86_64',
    'SCMP_ARCH_X86',
    'SCMP_ARCH_X32',
  ]);
  assert.equal(defaultSeccomp([], 'arm64')?.architectures, ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM']);
  assert.ok(allowedNames(defaultSeccomp([], 'arm64')).has('cacheflush'));
  assert.is(defaultSeccomp([], 'mips'), undefined);
});

test('clone3 is not implemented, so that programs fall back to clone', () => {
  const rule = defaultSeccomp(DEFAULT_CAPABILITIES, 'x64')?.syscalls.find(
    ({ names }) => names[0] === 'clone3',
  );
  assert.equal(rule, { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 });
});

/** The finished filter for a processor called `cpu`, as bytes. */
function compiled(cpu: string): { readonly profile: SeccompProfile; readonly program: Buffer } {
  const profile = defaultSeccomp(DEFAULT_CAPABILITIES, cpu)!;
  const directory = mkdtempSync(join(tmpdir(), 'kiln-seccomp-'));
  try {
    const fd = openSync(join(directory, 'filter'), 'w');
    assert.ok(compileSeccomp(profile, fd), `${cpu} compiles`);
    closeSync(fd);
    return { profile, program: readFileSync(join(directory, 'filter')) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The calls of an architecture by number, as libseccomp has them. */
function callsOf(token: string): ReadonlyMap<string, number> {
  const so = openLibrary('libseccomp.so.2')!;
  const resolveArch = so.func('uint32_t seccomp_arch_resolve_name(const char *)');
  const nameOf = so.func('char *seccomp_syscall_resolve_num_arch(uint32_t, int)');
  const arch = resolveArch(token);
  const first = token === 'x32' ? X32 : 0;
  const calls = new Map<string, number>();
  for (let number = 0; number < 600; number++) {
    const name = nameOf(arch, first + number) as unknown as string | null;
    if (name) calls.set(name, first + number);
  }
  return calls;
}

const X32 = 0x40000000;
const ENOSYS = 38;
const EPERM = 1;
const AF_ALG = 38;
const AF_VSOCK = 40;

/**
 * Calls that only 32-bit programs have. Each does the same as the calls listed beside it, which are
 * all allowed.
 */
const OLD_NAMES: Readonly<Record<string, readonly string[]>> = {
  // Semaphores, messages and shared memory: the same as msgctl, semop, shmat and so on.
  ipc: [
    'msgctl',
    'msgget',
    'msgrcv',
    'msgsnd',
    'semctl',
    'semget',
    'semop',
    'semtimedop',
    'shmat',
    'shmctl',
    'shmdt',
    'shmget',
  ],
  fcntl64: ['fcntl'],
  _llseek: ['lseek'],
  _newselect: ['select'],
  mmap2: ['mmap'],
  sigprocmask: ['rt_sigprocmask'],
  sigreturn: ['rt_sigreturn'],
  time: ['clock_gettime'],
  ugetrlimit: ['getrlimit'],
  waitpid: ['wait4'],
  send: ['sendto'],
  recv: ['recvfrom'],
};

/** Suffixes of names that differ only in the width of ids, offsets and times. */
const WIDTH = /(_time64|64_64|32|64)$/;
const plainName = (name: string) => name.replace(WIDTH, '');
const ARM_ONLY = [
  'arm_fadvise64_64',
  'arm_sync_file_range',
  'breakpoint',
  'cacheflush',
  'set_tls',
  'sync_file_range2',
];

for (const [cpu, token] of [
  ['x64', 'x86_64'],
  ['arm64', 'aarch64'],
] as const)
  test(`calls refused by the native filter of ${cpu} are refused by every other name`, () => {
    const { profile, program } = compiled(cpu);
    const native = callsOf(token);
    const nativeArch = FILTER_ARCHITECTURES[profile.architectures[0]!]!;
    const args = [0n, 0n, 0n, 0n, 0n, 0n];
    const natively = (name: string) => {
      const number = native.get(name);
      return number === undefined ? undefined : verdict(program, nativeArch, { number, args });
    };
    let seen = 0;
    for (const other of profile.architectures.slice(1)) {
      const architecture = FILTER_ARCHITECTURES[other]!;
      for (const [name, number] of callsOf(architecture.token)) {
        if (verdict(program, architecture, { number, args }) !== 'allow') continue;
        seen++;
        if (natively(name) === 'allow') continue;
        const same = OLD_NAMES[name] ?? [plainName(name)];
        if (cpu === 'arm64' && ARM_ONLY.includes(name)) continue;
        // Names that newer processors never had: access, open, fork and so on, each with a
        // counterpart (…at, clone) that is allowed.
        const known = same.every(
          (each) => natively(each) === 'allow' || (!native.has(each) && allowedOnX64.has(each)),
        );
        assert.ok(known, `${name} of ${other}`);
      }
    }
    assert.ok(seen > 200 * (profile.architectures.length - 1));
  });

/**
 * Calls that are allowed on x86-64. No native call under these names can do more on another
 * processor.
 */
const allowedOnX64 = new Set(
  [...allowedNames(defaultSeccomp(DEFAULT_CAPABILITIES, 'x64'))].flatMap((name) => [
    name,
    plainName(name),
  ]),
);

// s390x is left out: libseccomp 2.5 writes wrong filters for a byte order other than that of its
// host.
for (const cpu of ['x64', 'arm64', 'riscv64', 'ppc64'])
  test(`the filter of ${cpu}: sockets, namespaces and missing calls in each architecture`, () => {
    const { profile, program } = compiled(cpu);
    for (const name of profile.architectures) {
      const architecture = FILTER_ARCHITECTURES[name]!;
      const calls = callsOf(architecture.token);
      const ask = (call: string, ...args: readonly bigint[]) =>
        verdict(program, architecture, { number: calls.get(call)!, args });
      for (const call of ['socket', 'socketpair']) {
        for (let family = 0; family < 48; family++) {
          const refused = family === AF_ALG || family === AF_VSOCK;
          for (const upper of narrow(name)
            ? [0n]
            : [0n, 1n, 6n, 0x26n, 0x28n, 0x7fffffffn, 0xffffffffn])
            assert.is(
              ask(call, BigInt(family) | (upper << 32n), 5n, 0n),
              refused ? EPERM : 'allow',
              `${call} ${family} with ${upper} above, ${name}`,
            );
        }
      }
      for (let sub = 0n; sub <= 20n; sub++)
        if (calls.has('socketcall'))
          assert.is(ask('socketcall', sub, 0x1000n), ENOSYS, `socketcall ${sub}, ${name}`);
      assert.is(ask('clone', 0x01200011n), 'allow', `fork by clone, ${name}`);
      for (let bit = 0n; bit < 32n; bit++) {
        const makesNamespace = ((0x7e020000n >> bit) & 1n) === 1n;
        for (const upper of narrow(name) ? [0n] : [0n, 1n << 40n])
          assert.is(
            ask('clone', (1n << bit) | upper),
            makesNamespace ? EPERM : 'allow',
            `clone ${bit}, ${name}`,
          );
      }
      assert.is(ask('clone3', 0x1000n, 88n), ENOSYS, `clone3, ${name}`);
      for (const allowed of [0n, 8n, 0x20000n, 0x20008n, 0xffffffffn])
        assert.is(ask('personality', allowed), 'allow', name);
      // A filter for x32 compares only the lower half, as the kernel does.
      const upper = narrow(name) || name === 'SCMP_ARCH_X32' ? [] : [0x100000000n];
      for (const refused of [0x400000n, 0x40000n, ...upper])
        assert.is(ask('personality', refused), EPERM, name);
      for (const call of REFUSED)
        if (calls.has(call))
          assert.is(ask(call, 0n, 0n, 0n, 0n, 0n, 0n), EPERM, `${call}, ${name}`);
    }
  });

/** True for an architecture with registers of 32 bits. */
function narrow(architecture: string): boolean {
  return ['SCMP_ARCH_X86', 'SCMP_ARCH_ARM'].includes(architecture);
}

const REFUSED = [
  ...[
    'io_uring_setup',
    'io_uring_enter',
    'io_uring_register',
    'mount',
    'umount',
    'umount2',
    'fsopen',
    'fsmount',
    'move_mount',
  ],
  ...[
    'open_tree',
    'mount_setattr',
    'pivot_root',
    'unshare',
    'setns',
    'bpf',
    'perf_event_open',
    'userfaultfd',
    'keyctl',
    'add_key',
  ],
  ...[
    'request_key',
    'init_module',
    'finit_module',
    'create_module',
    'delete_module',
    'kexec_load',
    'kexec_file_load',
    'reboot',
  ],
  ...[
    'open_by_handle_at',
    'swapon',
    'swapoff',
    'quotactl',
    'settimeofday',
    'stime',
    'clock_settime',
    'clock_settime64',
    'acct',
  ],
  ...[
    'iopl',
    'ioperm',
    'vm86',
    'vm86old',
    'uselib',
    '_sysctl',
    'nfsservctl',
    'pidfd_getfd',
    'kcmp',
    'vhangup',
    'syslog',
    'syscall',
  ],
];

test('the compiled profile is a sequence of instructions that is the same each time', () => {
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
