import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { visibleHierarchies } from './cgroup-files.ts';
import { cgroupMode, enterCgroups } from './enter-cgroups.ts';
import { makeTree, whyNot } from './fixture.ts';

const reason = whyNot();
if (reason) console.log(`SKIP cgroups: ${reason}`);

const test = suite('cgroups');
const NAME = `kiln-test-${process.pid}`;
/** Keeps 100 MB, and never ends. */
const ENDLESS = "tr '\\0' a </dev/zero | tail -c 100000000";

test('without control groups devices must be guarded by other means', async () => {
  const groups = await enterCgroups('none', 'crun', NAME);
  assert.ok(groups.guardDevices);
  assert.equal(groups.place('x', { own: true, parent: '' }).manager, 'disabled');
  assert.equal(groups.directories, []);
  assert.throws(
    () => groups.place('x', { own: false, parent: '', limits: { pids: 3 } }),
    /limits of the steps cannot be set/,
  );
});

test('on v1 this process is in the devices group that all Kiln processes share', async () => {
  const mode = cgroupMode();
  if (mode !== 'v1' && mode !== 'hybrid') return console.log(`SKIP v1: this host has ${mode}`);
  const own = () => /:devices:(.*)/.exec(readFileSync('/proc/self/cgroup', 'latin1'))?.[1];
  const before = own();
  const groups = await enterCgroups(mode, 'crun', NAME);
  assert.not(groups.guardDevices);
  assert.is(own(), `${before === '/' ? '' : before}/kiln-sandboxes`);
  const list = readFileSync(`/sys/fs/cgroup/devices${own()}/devices.list`, 'latin1');
  assert.match(list, /^c 1:3 rwm$/m);
  assert.not.match(list, /^a /m);
  assert.equal(groups.directories, []);
  groups.leave();
  writeFileSync(`/sys/fs/cgroup/devices${before}/tasks`, `${process.pid}`);
});

test('on v1 a shared group with other rules is not joined; this process uses its own', async () => {
  const mode = cgroupMode();
  if (mode !== 'v1' && mode !== 'hybrid') return console.log(`SKIP v1: this host has ${mode}`);
  const own = () => /:devices:(.*)/.exec(readFileSync('/proc/self/cgroup', 'latin1'))?.[1];
  const home = own();
  // This group is above Kiln's, so that the shared group of other processes is not touched.
  const above = `/sys/fs/cgroup/devices${home}/${NAME}-above`;
  mkdirSync(`${above}/kiln-sandboxes`, { recursive: true });
  writeFileSync(`${above}/tasks`, `${process.pid}`);
  try {
    const groups = await enterCgroups(mode, 'crun', NAME);
    assert.ok(own()?.endsWith(`-above/${NAME}`));
    assert.not.match(readFileSync(`${groups.directories[0]}/devices.list`, 'latin1'), /^a /m);
    groups.leave();
    assert.ok(own()?.endsWith('-above'));
    assert.not(existsSync(groups.directories[0] ?? '/'));
  } finally {
    writeFileSync(`/sys/fs/cgroup/devices${home}/cgroup.procs`, `${process.pid}`);
    rmdirSync(`${above}/kiln-sandboxes`);
    rmdirSync(above);
  }
});

test('what passes the limit of memory before it is set is killed, and counts as such', async () => {
  const mode = cgroupMode();
  if (mode !== 'v1' && mode !== 'hybrid') return console.log(`SKIP limit: this host has ${mode}`);
  const groups = await enterCgroups(mode, 'crun', NAME);
  try {
    const place = groups.place('x', { own: false, parent: '', limits: { memory: 32 << 20 } });
    const memory = place.groups?.get('memory');
    const used = () => Number(readFileSync(`${memory}/memory.usage_in_bytes`, 'latin1'));
    const ended = Promise.withResolvers<number | null>();
    place.start(() => {
      // The shell stands for the runtime, and what it starts for the step.
      const child = spawn('/bin/sh', ['-c', `${ENDLESS}; exit 7`]);
      child.once('exit', ended.resolve);
      const until = Date.now() + 60_000;
      while (used() < 64 << 20 && Date.now() < until) spawnSync('/bin/sleep', ['0.01']);
      return { pid: child.pid! };
    });
    assert.is(await ended.promise, 7, 'the runtime is not killed');
    assert.is(place.finish().oomKills, 1);
  } finally {
    groups.leave();
  }
});

test('a process gets a requested group of its own below the parent', async () => {
  const mode = cgroupMode();
  if (mode !== 'v1' && mode !== 'hybrid') return console.log(`SKIP parent: this host has ${mode}`);
  const groups = await enterCgroups(mode, 'crun', NAME);
  try {
    assert.is(groups.place('a', { own: true, parent: 'team/x' }).path, '/team/x/a');
    assert.is(groups.place('a', { own: true, parent: '' }).path, '/a');
  } finally {
    groups.leave();
  }
});

test('on v2 each process has a group; its counters are read and it is removed', () => {
  using tree = makeTree();
  const script = new URL('./unified.child.ts', import.meta.url).pathname;
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [script, tree.stateDir, tree.root],
    { encoding: 'utf8' },
  );
  if (/EBUSY|EPERM|ENODEV/.test(stderr))
    return console.log('SKIP v2: this host does not let cgroup2 be mounted');
  assert.is(status, 0, stderr);
  const outcome = JSON.parse(stdout) as {
    stdout: string;
    left: string[];
    usage?: { cpuMs: number };
  };
  assert.is(outcome.stdout, '1\n0::/\n');
  assert.ok((outcome.usage?.cpuMs ?? 0) > 0);
  assert.equal(outcome.left, []);
  assert.equal(
    readdirSync(tree.stateDir).filter((name) => /^\d/.test(name)),
    [],
  );
});

if (!reason)
  test('a sandbox sees a v1 hierarchy unless its process is in the topmost group there', () => {
    const text = '9:name=systemd:/s\n7:blkio:/\n4:memory:/a/b\n3:cpu,cpuacct:/\n2:cpuset:/\n0::/\n';
    const systemd = { names: ['systemd'], directory: '/sys/fs/cgroup/systemd/s' };
    const memory = { names: ['memory'], directory: '/sys/fs/cgroup/memory/a/b' };
    const all = () => true;
    assert.equal(visibleHierarchies(new Map(), text, all), [systemd, memory]);
    // A container sees its group at another path.
    const isMemory = (directory: string) => directory === memory.directory;
    assert.equal(visibleHierarchies(new Map(), text, isMemory), [memory]);
    const own = new Map([
      ['cpuacct', '/own/cpuacct'],
      ['memory', '/own/memory'],
    ]);
    assert.equal(visibleHierarchies(own, text, all), [
      systemd,
      { names: ['memory'], directory: '/own/memory' },
      { names: ['cpu,cpuacct', 'cpu', 'cpuacct'], directory: '/own/cpuacct' },
    ]);
    assert.is(visibleHierarchies(new Map(), '0::/\n'), undefined);
  });

test.run();
