import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { utimensat } from '../snapshotter/sys/calls.ts';
import { AT } from '../snapshotter/sys/constants.ts';
import { program32, program64, results } from './calls-fixture.ts';
import type { ProcessSpec } from './executor.ts';
import {
  makeTree,
  processesWith,
  shell,
  specFor,
  type TestTree,
  until,
  whyNot,
} from './fixture.ts';
import { createExecutor, type RuntimeExecutor } from './runtime-executor.ts';

const reason = whyNot();
if (reason) console.log(`SKIP executor run: ${reason}`);

const test = suite('run');
let tree: TestTree;
let executor: RuntimeExecutor;

test.before(() => {
  tree = makeTree();
  executor = createExecutor({ stateDir: tree.stateDir });
});
test.after(async () => {
  await executor[Symbol.asyncDispose]();
  assert.equal(
    readdirSync(tree.stateDir).filter((name) => !/^(seccomp|version)-/.test(name)),
    ['runtime'],
  );
  assert.equal(readdirSync(join(tree.stateDir, 'runtime')), []);
  tree[Symbol.dispose]();
});

const sh = (script: string, more: Partial<ProcessSpec> = {}) =>
  shell(executor, tree.root, script, more);

/** Runs a command without a shell, because a shell changes what it starts. */
async function direct(...args: readonly string[]): Promise<{ readonly stdout: string }> {
  const chunks: Uint8Array[] = [];
  await executor.run(
    specFor(tree.root, args),
    { output: (_, data) => chunks.push(data) },
    new AbortController().signal,
  );
  return { stdout: Buffer.concat(chunks).toString() };
}

async function codeOf(action: Promise<unknown>): Promise<string> {
  try {
    await action;
  } catch (error) {
    if (error instanceof KilnError) return error.code;
    throw error;
  }
  return 'nothing thrown';
}

test('exit codes come through, and 128 + n for a signal', async () => {
  assert.is((await sh('exit 0')).exitCode, 0);
  assert.is((await sh('exit 7')).exitCode, 7);
  assert.is((await sh("sh -c 'kill -9 $$; :'; exit $?")).exitCode, 137);
  assert.is((await sh('nonesuch')).exitCode, 127);
});

test('the process has the default capabilities, and a seccomp filter', async () => {
  const { stdout } = await direct('/bin/cat', '/proc/self/status');
  const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(stdout)?.[1];
  for (const name of ['CapPrm', 'CapEff', 'CapBnd'])
    assert.is(field(name), '00000000a80425fb', name);
  for (const name of ['CapInh', 'CapAmb']) assert.is(field(name), '0000000000000000', name);
  assert.is(field('Seccomp'), '2');
  assert.is(field('NoNewPrivs'), '0');
  assert.is(field('SigIgn'), '0000000000000000');
  assert.is(field('Umask'), '0022');
});

test('the seccomp filter is in force', async () => {
  const { stdout, stderr } = await sh('mount -t tmpfs x /tmp || echo refused');
  assert.is(stdout, 'refused\n');
  assert.match(stderr, /not permitted|denied/);
});

const AF = { INET: 2, ALG: 38, VSOCK: 40 };
const EPERM = 1;
const ENOSYS = 38;
const STREAM = 1;
const SEQPACKET = 5;

/** Runs a program of system calls in the sandbox, and returns their results. */
async function made(program: Buffer): Promise<readonly number[]> {
  writeFileSync(tree.at('bin/calls'), program, { mode: 0o755 });
  const chunks: Uint8Array[] = [];
  const { exitCode } = await executor.run(
    specFor(tree.root, ['/bin/calls']),
    { output: (_, data) => chunks.push(data) },
    new AbortController().signal,
  );
  assert.is(exitCode, 0);
  return results(Buffer.concat(chunks));
}

const unlessX64 = process.arch === 'x64' ? test : test.skip;
if (process.arch !== 'x64') console.log('SKIP calls of x86 programs: this is another processor');

unlessX64(
  'a 32-bit program reaches no socket family that is refused, neither by socket nor by socketcall',
  async () => {
    const families = [AF.INET, AF.ALG, AF.VSOCK];
    const program = program32([
      ...families.map((family) => ({
        number: 359,
        args: [BigInt(family), BigInt(family === AF.ALG ? SEQPACKET : STREAM), 0n],
      })),
      ...families.map((family) => ({
        number: 102,
        args: [1n, [family, family === AF.ALG ? SEQPACKET : STREAM, 0]],
      })),
      // socketcall(SYS_SOCKETPAIR)
      { number: 102, args: [8n, [AF.VSOCK, STREAM, 0, 0x400800]] },
    ]);
    writeFileSync(join(tree.directory, 'calls'), program, { mode: 0o755 });
    const outside = results(spawnSync(join(tree.directory, 'calls')).stdout);
    if (outside.length !== 7)
      return console.log('SKIP calls of 32-bit programs: this kernel runs none');
    assert.ok(outside[3]! >= 0, 'outside, socketcall gives a socket');
    const [inet, alg, vsock, ...multiplexed] = await made(program);
    assert.ok(inet! >= 0, 'AF_INET by socket');
    assert.equal([alg, vsock], [-EPERM, -EPERM]);
    assert.equal(multiplexed, [-ENOSYS, -ENOSYS, -ENOSYS, -ENOSYS]);
  },
);

unlessX64(
  'bits above a family, which the kernel does not look at, do not get it past the filter',
  async () => {
    const families = [AF.INET, AF.ALG, AF.VSOCK].map(BigInt);
    const socket = (family: bigint, number: number) => ({
      number,
      args: [family, family % 2n ? 1n : 5n, 0n],
    });
    const answers = await made(
      program64([
        { number: 41, args: [BigInt(AF.INET) | (1n << 32n), 1n, 0n] },
        ...families
          .slice(1)
          .flatMap((family) =>
            [0n, 1n, 0xffffffffn].map((upper) => socket(family | (upper << 32n), 41)),
          ),
        // socketpair with a family that has no pairs. The kernel would make the sockets before it
        // fails.
        { number: 53, args: [BigInt(AF.VSOCK), 1n, 0n] },
      ]),
    );
    assert.ok(answers[0]! >= 0, 'AF_INET with a bit above');
    assert.equal(answers.slice(1), Array(7).fill(-EPERM));
  },
);

test('a process has only the descriptors 0, 1 and 2, and reopens its output by name', async () => {
  // The fourth is the descriptor with which ls reads the directory.
  const { stdout } = await sh('set -- $(ls /proc/self/fd); echo $# $*; echo again >/dev/stdout', {
    user: '1234',
  });
  assert.is(stdout, '4 0 1 2 3\nagain\n');
  assert.match(
    (await sh('readlink /proc/self/fd/1; readlink /proc/self/fd/2')).stdout,
    /^pipe:.*\npipe:/,
  );
});

test('the environment is exactly the one requested, with HOME from passwd', async () => {
  const env = ['PATH=/bin', 'A=1 2', 'EMPTY='];
  const run = async (more: Partial<ProcessSpec>) => {
    const chunks: Uint8Array[] = [];
    const spec = specFor(tree.root, ['/bin/env'], { env, ...more });
    await executor.run(
      spec,
      { output: (_, data) => chunks.push(data) },
      new AbortController().signal,
    );
    return Buffer.concat(chunks).toString();
  };
  assert.is(await run({}), 'PATH=/bin\nA=1 2\nEMPTY=\nHOME=/root\n');
  assert.is(await run({ user: 'alice' }), 'PATH=/bin\nA=1 2\nEMPTY=\nHOME=/home/alice\n');
  assert.is(await run({ env: ['HOME='] }), 'HOME=\n');
});

test('secret variables reach the process and are on no disk while it runs', async () => {
  const token = `planted-${process.pid}-${Math.random().toString(36).slice(2)}`;
  const IN_MEMORY = [0x01021994, 0x858458f6];
  const holding = () =>
    (readdirSync(tree.stateDir, { recursive: true }) as string[])
      .map((name) => join(tree.stateDir, name))
      .filter(
        (path) =>
          lstatSync(path, { throwIfNoEntry: false })?.isFile() &&
          readFileSync(path, 'latin1').includes(token),
      )
      .map((path) => ({ path, inMemory: IN_MEMORY.includes(statfsSync(path).type) }));
  const found: ReturnType<typeof holding> = [];
  const searched = join(tree.root, 'searched');
  // The process waits for the end of the search, so that nothing is removed meanwhile.
  const script =
    'echo ready; until [ -e /searched ]; do sleep 0.02; done; test "$TOKEN" = "$EXPECTED"';
  const { exitCode } = await executor.run(
    specFor(tree.root, ['/bin/sh', '-c', script], {
      secretEnv: [`TOKEN=${token}`, `EXPECTED=${token}`],
    }),
    {
      output: () => {
        found.push(...holding());
        writeFileSync(searched, '');
      },
    },
    new AbortController().signal,
  );
  rmSync(searched);
  assert.is(exitCode, 0);
  assert.ok(found.length > 0, 'the search finds the bundle');
  assert.equal(
    found.filter(({ inMemory }) => !inMemory),
    [],
  );
  assert.equal(holding(), []);
});

test("a sandbox has its own namespaces, also of the network unless it is the host's", async () => {
  const links = async (more: Partial<ProcessSpec>) =>
    (
      await sh('for n in pid mnt ipc uts cgroup net user; do readlink /proc/self/ns/$n; done', more)
    ).stdout
      .split('\n')
      .slice(0, -1);
  const ours = ['pid', 'mnt', 'ipc', 'uts', 'cgroup', 'net', 'user'].map((name) =>
    readlinkSync(`/proc/self/ns/${name}`),
  );
  const shared = (found: readonly string[]) =>
    found.filter((link) => ours.includes(link)).map((link) => link.split(':')[0]);
  assert.equal(shared(await links({})), ['user']);
  assert.equal(shared(await links({ network: 'host' })), ['net', 'user']);
  assert.equal(shared(await links({ network: 'none' })), ['user']);
  assert.is((await sh('echo $$; hostname')).stdout, '1\nbuildkitsandbox\n');
});

test('a sandbox cannot see the processes or the environment of the builder', async () => {
  const { stdout } = await sh(
    'cat /proc/[0-9]*/environ | tr "\\0" "\\n"; ls -d /proc/[0-9]* | wc -l',
    {
      env: ['PATH=/bin', 'MINE=1'],
    },
  );
  assert.equal(
    [...new Set(stdout.split('\n'))].filter(
      (line) => line.includes('=') && !/^(PATH|MINE|HOME|SHLVL|PWD|_)=/.test(line),
    ),
    [],
  );
});

test('kernel files are masked or read-only', async () => {
  const { stdout, stderr } = await sh(
    'cat /proc/keys /proc/timer_list | wc -c; ls /sys/firmware | wc -l; echo x ' +
      '>/proc/sys/kernel/domainname',
  );
  assert.is(stdout, '0\n0\n');
  assert.match(stderr, /domainname: Read-only file system/);
  assert.not.match(
    (await sh('grep -E " /(sys|sys/fs/cgroup/[a-z]+) " /proc/mounts')).stdout,
    / rw,/,
  );
});

test('steps cannot see a release_agent and cannot mount control groups', async () => {
  const script = `
find / -name release_agent 2>/dev/null
mkdir -p /tmp/m
for options in memory pids none,name=new cpu; do mount -t cgroup -o $options none /tmp/m && \
echo mounted $options; done
mount -t cgroup2 none /tmp/m && echo mounted cgroup2
rmdir /tmp/m`;
  for (const more of [{}, { ulimits: [], limits: undefined }, { user: 'alice' }]) {
    const { stdout } = await sh(script, more);
    assert.is(stdout, '');
  }
  // With limits, the sandbox sees its own group and still no others.
  if (!existsSync('/sys/fs/cgroup/memory/tasks')) return;
  const { stdout } = await sh(
    `find / -name release_agent 2>/dev/null; cat /sys/fs/cgroup/memory/memory.limit_in_bytes`,
    {
      limits: { memory: 64 << 20 },
    },
  );
  assert.is(stdout, `${64 << 20}\n`);
});

test("a device node of the host's disks can be made but not opened", async () => {
  const disk = readdirSync('/sys/class/block')[0];
  if (disk === undefined) return console.log('SKIP device: this host has no block device');
  const [major, minor] = readFileSync(`/sys/class/block/${disk}/dev`, 'utf8').trim().split(':');
  const { stderr, stdout } = await sh(
    `mknod /dev/disk b ${major} ${minor}; mknod /tmp/disk b ${major} ${minor}; head -c 1 ` +
      '/dev/disk; head -c 1 /tmp/disk; head -c 1 /dev/zero | wc -c; rm -f /tmp/disk',
  );
  assert.is(stdout, '1\n');
  assert.ok((stderr.match(/not permitted|No such file|denied/g)?.length ?? 0) >= 2, stderr);
});

test('without control groups device nodes can neither be made nor used', async () => {
  await using other = createExecutor({ stateDir: tree.stateDir, cgroups: 'none' });
  const { stdout, stderr } = await shell(
    other,
    tree.root,
    'mknod /dev/x b 7 0 || echo refused; head -c 1 /dev/zero | wc -c',
  );
  assert.is(stdout, 'refused\n1\n', stderr);
});

test('output arrives while the process runs, in order, on its stream', async () => {
  const seen: string[] = [];
  mkdirSync(tree.at('tmp/live'), { recursive: true });
  const script = 'echo one; while [ ! -e /live/go ]; do :; done; echo two >&2; echo three';
  const spec = specFor(tree.root, ['/bin/sh', '-c', script], {
    mounts: [{ kind: 'bind', source: tree.at('tmp/live'), target: '/live', readonly: false }],
  });
  const output = (stream: 1 | 2, data: Uint8Array) => {
    seen.push(`${stream}:${Buffer.from(data).toString().trim()}`);
    // The process continues only after its first line was read.
    if (seen.length === 1) writeFileSync(tree.at('tmp/live/go'), '');
  };
  assert.is((await executor.run(spec, { output }, new AbortController().signal)).exitCode, 0);
  assert.is(seen[0], '1:one');
  assert.equal(seen.toSorted(), ['1:one', '1:three', '2:two']);
});

test('standard input is empty, or what was given', async () => {
  assert.is((await sh('cat; echo end')).stdout, 'end\n');
  let text = '';
  const io = {
    stdin: Buffer.from('hello'.repeat(50_000)),
    output: (_: 1 | 2, data: Uint8Array) => (text += Buffer.from(data)),
  };
  await executor.run(specFor(tree.root, ['/bin/wc', '-c']), io, new AbortController().signal);
  assert.is(text.trim(), '250000');
});

test('a large output is complete', async () => {
  const { stdout } = await sh('yes 0123456789abcde | head -c 4000000');
  assert.is(stdout.length, 4_000_000);
});

test('an abort kills every process in the sandbox, even those that ignore signals', async () => {
  const mark = `86${process.pid}`;
  const controller = new AbortController();
  const script =
    `trap '' TERM INT HUP; for i in 1 2 3 4 5 6 7 8; do sh -c "sleep ${mark} & sleep ${mark}" ` +
    '& done; echo ready; wait';
  const running = executor.run(
    specFor(tree.root, ['/bin/sh', '-c', script]),
    { output: () => controller.abort() },
    controller.signal,
  );
  assert.is(await codeOf(running), 'KILN_CANCELLED');
  assert.equal(processesWith(mark), []);
  assert.equal(readdirSync(join(tree.stateDir, 'runtime')), []);
});

test('an abort at any moment of the start leaves nothing behind', async () => {
  const mark = `87${process.pid}`;
  for (let ms = 0; ms < 16; ms += 2) {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), ms);
    const running = executor.run(
      specFor(tree.root, ['/bin/sleep', mark]),
      { output: () => {} },
      controller.signal,
    );
    assert.is(await codeOf(running), 'KILN_CANCELLED');
    assert.equal(processesWith(mark), []);
  }
  assert.equal(readdirSync(join(tree.stateDir, 'runtime')), []);
});

test('background processes end with the main process', async () => {
  const mark = `88${process.pid}`;
  await sh(`sleep ${mark} >/dev/null 2>&1 & exit 0`);
  assert.equal(processesWith(mark), []);
});

test('sandboxes that run at once do not mix', async () => {
  const numbers = Array.from({ length: 32 }, (_, at) => at);
  // In a build each sandbox has its own tree. Here they share one, so no mount point may have to be
  // made in it.
  using shared = makeTree();
  for (const name of ['hosts', 'resolv.conf']) writeFileSync(shared.at(`etc/${name}`), '');
  const outcomes = await Promise.all(
    numbers.map((at) => shell(executor, shared.root, `echo ${at}; exit ${at}`)),
  );
  assert.equal(
    outcomes.map(({ stdout, exitCode }) => [Number(stdout), exitCode]),
    numbers.map((at) => [at, at]),
  );
});

test('no descriptor of this process stays open', async () => {
  await sh('true');
  const before = readdirSync('/proc/self/fd').length;
  for (let at = 0; at < 5; at++) await sh('true');
  assert.is(readdirSync('/proc/self/fd').length, before);
});

test('a missing working directory is made in the tree, owned by root with mode 0755', async () => {
  symlinkSync('/made', tree.at('leads'));
  assert.is((await sh('pwd -P', { cwd: '/leads/deep', user: 'alice' })).stdout, '/made/deep\n');
  const stat = lstatSync(tree.at('made/deep'));
  assert.equal([stat.mode & 0o7777, stat.uid, stat.gid], [0o755, 0, 0]);
  rmSync(tree.at('made'), { recursive: true });
  rmSync(tree.at('leads'));
});

test('a working directory through a link to the host makes nothing there', async () => {
  const canary = join(tree.directory, 'canary');
  mkdirSync(canary);
  symlinkSync(canary, tree.at('absolute'));
  symlinkSync(`../${'../'.repeat(20)}${canary}`, tree.at('relative'));
  for (const name of ['absolute', 'relative'])
    assert.is((await sh('true', { cwd: `/${name}/new` })).exitCode, 0);
  assert.equal(readdirSync(canary), []);
  for (const name of ['absolute', 'relative', 'tmp/kiln-executor'])
    rmSync(tree.at(name), { force: true });
});

test("CVE-2024-21626: the runtime's descriptors are refused as a working directory", async () => {
  symlinkSync('/proc/self/fd', tree.at('sly'));
  for (let fd = 3; fd <= 40; fd++) {
    assert.is(await codeOf(sh('true', { cwd: `/proc/self/fd/${fd}` })), 'KILN_CWD');
    assert.is(await codeOf(sh('true', { cwd: `/sly/${fd}/../..` })), 'KILN_CWD');
  }
  assert.is(await codeOf(sh('true', { cwd: '/etc/passwd' })), 'KILN_CWD');
  assert.is(await codeOf(sh('true', { cwd: 'relative' })), 'KILN_CWD');
  rmSync(tree.at('sly'));
});

test('CVE-2024-21626: a working directory leads to a descriptor by no link or mount', async () => {
  const shared = join(tree.directory, 'shared');
  mkdirSync(join(shared, 'plain'), { recursive: true });
  const links: Readonly<Record<string, string>> = {
    fd: '/proc/self/fd',
    eight: '/proc/self/fd/8',
    thread: '/proc/thread-self/fd',
    first: '/proc/1/root',
    dev: '/dev/fd',
    input: '/dev/stdin',
    up: '../../../../proc/self/cwd',
    back: '/to-mount/fd',
    twice: 'dev',
  };
  for (const [name, target] of Object.entries(links)) {
    symlinkSync(target, join(shared, name));
    symlinkSync(target, tree.at(`tmp/${name}`));
  }
  symlinkSync('/mounted', tree.at('to-mount'));
  const mounts = [{ kind: 'bind' as const, source: shared, target: '/to-mount', readonly: false }];
  const cases = [
    ...['fd', 'stdin', 'stdout', 'stderr', 'core', 'fd/3', 'fd/8', 'fd/8/../..', 'shm/../fd/4'].map(
      (path) => `/dev/${path}`,
    ),
    ...[
      '/proc/self',
      '/proc/thread-self/fd/5',
      '/proc/1/cwd',
      '/proc/sys',
      '/sys/../proc/self/root',
    ],
    ...['/tmp', '/mounted', '/to-mount'].flatMap((directory) =>
      Object.keys(links).flatMap((name) => [
        `${directory}/${name}`,
        `${directory}/${name}/8`,
        `${directory}/${name}/made/deep`,
      ]),
    ),
  ];
  for (const cwd of cases) assert.is(await codeOf(sh('true', { cwd, mounts })), 'KILN_CWD', cwd);
  for (const name of Object.keys(links)) {
    const over = [...mounts, { kind: 'tmpfs' as const, target: `/mounted/${name}/9`, size: 0 }];
    assert.is(await codeOf(sh('true', { mounts: over })), 'KILN_MOUNT_TARGET', name);
  }
  writeFileSync(join(shared, 'file'), '');
  const file = {
    kind: 'bind' as const,
    source: join(shared, 'file'),
    target: '/tmp/shown',
    readonly: true,
  };
  for (const cwd of ['/mounted/file', '/tmp/shown', '/tmp/shown/below'])
    assert.is(await codeOf(sh('true', { cwd, mounts: [...mounts, file] })), 'KILN_CWD', cwd);
  // Links that do not lead out still work, and the runtime gets a path without links.
  symlinkSync('/mounted/plain', join(shared, 'again'));
  symlinkSync('/dev/shm', tree.at('tmp/shm'));
  for (const [cwd, real] of [
    ['/to-mount/again', '/mounted/plain'],
    ['/tmp/shm/new', '/dev/shm/new'],
    ['/dev/pts', '/dev/pts'],
    ['/proc', '/proc'],
    ['/sys/kernel', '/sys/kernel'],
  ])
    assert.is((await sh('pwd -P', { cwd: cwd!, mounts })).stdout, `${real}\n`, cwd);
  for (const name of [...Object.keys(links), 'shm']) rmSync(tree.at(`tmp/${name}`));
  rmSync(tree.at('to-mount'));
});

test('CVE-2019-5736: a sandbox never runs the file from which the runtime is started', async () => {
  const controller = new AbortController();
  const seen = Promise.withResolvers<string[]>();
  const running = executor.run(
    specFor(tree.root, ['/bin/sh', '-c', 'echo up; sleep 1000']),
    {
      output: () =>
        seen.resolve(
          readFileSync(`/proc/self/task/${process.pid}/children`, 'latin1').trim().split(' '),
        ),
    },
    controller.signal,
  );
  running.catch(seen.reject);
  try {
    // The other child is the watchdog, a shell.
    const runtimes = (await seen.promise).filter((pid) =>
      /runc?$/.test(readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')[0] ?? ''),
    );
    assert.is(runtimes.length, 1);
    // The file that a sandbox could open through /proc/self/exe is a copy in memory or on a
    // read-only mount. Even setting its mode to the present value fails.
    const exe = `/proc/${runtimes[0]}/exe`;
    if (!/^\/memfd:/.test(readlinkSync(exe)))
      assert.throws(() => chmodSync(exe, statSync(exe).mode & 0o7777), /EROFS/);
  } finally {
    controller.abort();
    await running.catch(() => {});
  }
});

test('a tree whose /proc, /sys or /dev is a link is refused', async () => {
  for (const name of ['proc', 'sys', 'dev']) {
    using other = makeTree();
    symlinkSync('/etc', other.at(name));
    assert.is(await codeOf(shell(executor, other.root, 'true')), 'KILN_ROOT_UNSAFE', name);
  }
});

test('links among the device names of the image have no effect', async () => {
  using other = makeTree();
  const canary = join(other.directory, 'canary');
  writeFileSync(canary, 'unharmed');
  mkdirSync(other.at('dev'));
  for (const name of ['null', 'console', 'ptmx']) symlinkSync(canary, other.at(`dev/${name}`));
  assert.is((await shell(executor, other.root, 'echo gone >/dev/null')).exitCode, 0);
  assert.is(readFileSync(canary, 'utf8'), 'unharmed');
  assert.is(lstatSync(canary).nlink, 1);
});

const AGED = { sec: 1_000_000_000, nsec: 987_654_321 };
const mtimeOf = (path: string) => lstatSync(path, { bigint: true }).mtimeNs;

test('hosts, resolv.conf and mount points exist for the process and leave no trace', async () => {
  using other = makeTree();
  const source = join(other.directory, 'source');
  mkdirSync(source);
  writeFileSync(join(source, 'secret'), 'hush');
  await shell(executor, other.root, 'true');
  for (const path of ['', 'etc', 'tmp']) utimensat(AT.FDCWD, other.at(path), AGED, AGED);
  const { stdout, exitCode } = await shell(
    executor,
    other.root,
    'cat /etc/hosts /run/secrets/s; test -s /etc/resolv.conf && stat -c %Y /etc; ls ' +
      '/var/cache/x; echo y >/var/cache/x/written; echo z >/etc/hosts',
    {
      extraHosts: [{ host: 'db', ip: '10.0.0.7' }],
      mounts: [
        { kind: 'bind', source: join(source, 'secret'), target: '/run/secrets/s', readonly: true },
        { kind: 'bind', source, target: '/var/cache/x', readonly: false },
        { kind: 'tmpfs', target: '/scratch', size: 1 << 20 },
      ],
    },
  );
  assert.match(
    stdout,
    /^127\.0\.0\.1\tlocalhost buildkitsandbox\n::1\t.*\n10\.0\.0\.7\tdb\nhush1000000000\nsecret\n$/,
  );
  assert.not.equal(exitCode, 0, '/etc/hosts is read-only');
  assert.ok(existsSync(join(source, 'written')));
  assert.equal(readdirSync(other.root).toSorted(), ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp']);
  assert.equal(readdirSync(other.at('etc')).toSorted(), ['group', 'passwd']);
  for (const path of ['', 'etc'])
    assert.is(mtimeOf(other.at(path)), 1_000_000_000_987_654_321n, path);
});

test('CVE-2024-23652: a link to the host above a mount point removes nothing there', async () => {
  const canary = join(tree.directory, 'canary-parent');
  mkdirSync(join(canary, 'sub'), { recursive: true });
  const { stdout } = await sh(`mv /mnt /moved && ln -s ${canary} /mnt && echo done`, {
    mounts: [{ kind: 'tmpfs', target: '/mnt/sub', size: 0 }],
  });
  assert.is(stdout, 'done\n');
  assert.ok(existsSync(join(canary, 'sub')));
  assert.ok(lstatSync(tree.at('mnt')).isSymbolicLink());
  assert.equal(readdirSync(tree.at('moved')), []);
  for (const path of ['mnt', 'moved']) rmSync(tree.at(path), { recursive: true });
});

test('mounts are read-only when asked, and tmpfs has its size', async () => {
  const { stdout, stderr } = await sh('echo x >/ro/file; grep " /t tmpfs" /proc/mounts', {
    mounts: [
      { kind: 'bind', source: tree.at('etc'), target: '/ro', readonly: true },
      { kind: 'tmpfs', target: '/a/../t/', size: 65536 },
    ],
  });
  assert.match(stderr, /Read-only file system/);
  assert.match(stdout, /size=64k/);
});

test('a read-only root cannot be written to', async () => {
  const { stderr, stdout } = await sh('echo x >/file; pwd', { readonlyRootfs: true, cwd: '/tmp' });
  assert.match(stderr, /Read-only file system/);
  assert.is(stdout, '/tmp\n');
});

test('ulimits are set, and clamped to what this process may give', async () => {
  const ulimits = [
    { name: 'nofile', soft: 100, hard: 200 },
    { name: 'core', soft: -1, hard: -1 },
    { name: 'nproc', soft: 2 ** 40, hard: 2 ** 40 },
  ];
  const { stdout, exitCode } = await sh('cat /proc/self/limits', { ulimits });
  assert.is(exitCode, 0);
  assert.match(stdout, /^Max open files +100 +200 /m);
  const warnings: string[] = [];
  await using telling = createExecutor({
    stateDir: tree.stateDir,
    warn: (text) => warnings.push(text),
  });
  const more = 2 ** 40;
  const clamped = await shell(telling, tree.root, 'ulimit -n', {
    ulimits: [{ name: 'nofile', soft: more, hard: more }],
  });
  assert.match(clamped.stdout, /^\d+\n$/);
  assert.match(
    warnings.join(),
    new RegExp(`--ulimit nofile: .* above ${clamped.stdout.trim()} here`),
  );
  assert.is(
    await codeOf(sh('true', { ulimits: [{ name: 'bogus', soft: 1, hard: 1 }] })),
    'KILN_ULIMIT',
  );
});

test('/dev/shm has the requested size, and 64 MiB by default', async () => {
  const size = async (shmSize: number) =>
    /size=(\d+)k/.exec((await sh('grep " /dev/shm " /proc/mounts', { shmSize })).stdout)?.[1];
  assert.is(await size(0), '65536');
  assert.is(await size(1 << 20), '1024');
  assert.is(await size(1500), '4');
});

test('an insecure process has every capability and no filter', async () => {
  const { stdout } = await sh('cat /proc/self/status', { security: 'insecure' });
  const bounding = /^CapBnd:.*$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[0];
  assert.is(/^CapBnd:.*$/m.exec(stdout)?.[0], bounding);
  assert.match(stdout, /^Seccomp:\t0$/m);
  assert.match(stdout, /^CapInh:\t0+$/m);
});

test('a result says what the process used', async () => {
  const quiet = (await sh('true')).usage;
  const busy = (await sh('head -c 60000000 /dev/zero | tail -c 50000000 >/dev/null')).usage;
  assert.ok((busy?.cpuMs ?? 0) > (quiet?.cpuMs ?? 0), JSON.stringify({ quiet, busy }));
  if (busy?.peakMemory === undefined)
    return console.log('SKIP peak: this host does not count memory');
  assert.ok(
    busy.peakMemory > 50_000_000 && (quiet?.peakMemory ?? 0) < 30_000_000,
    JSON.stringify({ quiet, busy }),
  );
});

test('the kernel enforces the limits on memory, processes and processors', async () => {
  const limits = {
    memory: 32 << 20,
    pids: 20,
    cpuQuota: 50_000,
    cpuPeriod: 100_000,
    cpusetCpus: '0',
  };
  try {
    const large = await sh('tail -c 100000000 /dev/zero', { limits });
    assert.ok(large.oomKilled, JSON.stringify(large));
    assert.is(
      (await sh('head -c 5000000 /dev/zero | tail -c 2000000 | wc -c', { limits })).oomKilled,
      false,
    );
    // A fork bomb. Forks are refused from the twentieth on, and no process is left at the end.
    const mark = `85${process.pid}`;
    const bomb = await sh(
      `i=0; while [ $i -lt 60 ]; do sleep ${mark} & i=$((i + 1)); done; echo survived`,
      { limits },
    );
    assert.match(bomb.stderr, /can't fork|Resource temporarily unavailable/);
    assert.equal(processesWith(mark), []);
    assert.is(
      (await sh('grep Cpus_allowed_list /proc/self/status', { limits })).stdout.trim(),
      'Cpus_allowed_list:\t0',
    );
  } catch (error) {
    if (!(error instanceof KilnError && error.code === 'KILN_LIMIT')) throw error;
    console.log(`SKIP limits: ${error.message}`);
  }
});

test("limits apply below the user's control group, which remains", async () => {
  const parent = `kiln-test-${process.pid}`;
  try {
    const { oomKilled, stdout } = await sh('cat /proc/self/cgroup; tail -c 100000000 /dev/zero', {
      cgroupParent: parent,
      limits: { memory: 32 << 20 },
    });
    assert.ok(oomKilled, stdout);
  } catch (error) {
    if (!(error instanceof KilnError && error.code === 'KILN_LIMIT')) throw error;
    console.log(`SKIP parent: ${error.message}`);
  } finally {
    for (const controller of readdirSync('/sys/fs/cgroup')) {
      const directory = `/sys/fs/cgroup/${controller}/${parent}`;
      if (!existsSync(directory)) continue;
      assert.equal(
        readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory()),
        [],
      );
      rmdirSync(directory);
    }
  }
});

test('a missing program is named in the error', async () => {
  const run = executor.run(
    specFor(tree.root, ['/bin/nonesuch']),
    { output: () => {} },
    new AbortController().signal,
  );
  assert.is(await codeOf(run), 'KILN_PROCESS_START');
  assert.is(await codeOf(sh('true', { user: 'nobody-knows' })), 'KILN_USER_UNKNOWN');
});

test('an aborted signal starts nothing', async () => {
  const run = executor.run(
    specFor(tree.root, ['/bin/true']),
    { output: () => {} },
    AbortSignal.abort(),
  );
  assert.is(await codeOf(run), 'KILN_CANCELLED');
});

test('a runtime with published vulnerabilities is reported once and asked once', async () => {
  const old = join(tree.directory, 'crun');
  const asked = join(tree.directory, 'asked');
  writeFileSync(
    old,
    '#!/bin/sh\n' +
      `[ "$1" != --version ] || { echo >>${asked}; echo 'crun version 1.4.3'; exit; }\n` +
      'exec crun "$@"\n',
    { mode: 0o755 },
  );
  const warnings: string[] = [];
  for (let at = 0; at < 2; at++) {
    await using other = createExecutor({
      stateDir: tree.stateDir,
      runtime: old,
      warn: (text) => warnings.push(text),
    });
    assert.is((await shell(other, tree.root, 'echo works')).stdout, 'works\n');
    await shell(other, tree.root, 'true');
  }
  assert.is(warnings.length, 2);
  assert.match(warnings[0] ?? '', /crun 1\.4\.3 has published vulnerabilities \(CVE-2022-27650\)/);
  // The second process reads the recorded answer, and so would a third.
  assert.is(readFileSync(asked, 'utf8'), '\n');
});

test('each run gets the warnings about the host, also when earlier runs got them', async () => {
  const old = join(tree.directory, 'another-old-crun');
  writeFileSync(
    old,
    '#!/bin/sh\n' +
      `[ "$1" != --version ] || { echo 'crun version 1.4.3'; exit; }\n` +
      'exec crun "$@"\n',
    { mode: 0o755 },
  );
  await using other = createExecutor({
    stateDir: tree.stateDir,
    runtime: old,
    networks: ['host'],
  });
  const warningsOfRun = async () => {
    const sentences: string[] = [];
    await other.run(
      specFor(tree.root, ['/bin/true']),
      { output: () => {}, warn: (sentence) => sentences.push(sentence) },
      new AbortController().signal,
    );
    return sentences;
  };
  const first = await warningsOfRun();
  assert.is(first.length, 1);
  assert.match(first[0] ?? '', /CVE-2022-27650/);
  assert.equal(await warningsOfRun(), first);
  const [one, two] = await Promise.all([warningsOfRun(), warningsOfRun()]);
  assert.equal([one, two], [first, first]);
});

test('what sandboxes share is released when no build holds the executor', async () => {
  const own = () => readdirSync(tree.stateDir).filter((name) => name.startsWith(`${process.pid}-`));
  const before = own();
  const more = () => own().filter((name) => !before.includes(name));
  await using other = createExecutor({ stateDir: tree.stateDir, networks: ['host'] });
  const [first, second] = [other.hold(), other.hold()];
  await shell(other, tree.root, 'true');
  const [directory] = more();
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  await shell(other, tree.root, 'true');
  assert.equal(more(), [directory], 'the second holder goes on with what there is');
  second[Symbol.dispose]();
  using _third = other.hold();
  await shell(other, tree.root, 'true');
  assert.is(more().length, 1);
  assert.is.not(more()[0], directory);
});

test('a state directory that other users can write to is refused', async () => {
  const open = join(tree.directory, 'open');
  mkdirSync(open, { mode: 0o777 });
  const { chmodSync } = await import('node:fs');
  chmodSync(open, 0o777);
  await using other = createExecutor({ stateDir: open });
  assert.is(await codeOf(shell(other, tree.root, 'true')), 'KILN_STATE_DIR');
  assert.ok(await until(() => readdirSync(open).length === 0));
});

if (!reason) test.run();
