import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cgroupMode, enterCgroups } from './cgroups.ts';
import { makeTree, whyNot } from './fixture.ts';

const reason = whyNot();
if (reason) console.log(`SKIP cgroups: ${reason}`);

const test = suite('cgroups');
const NAME = `kiln-test-${process.pid}`;

test('without control groups devices are to be guarded by other means', () => {
  const groups = enterCgroups('none', 'crun', NAME);
  assert.ok(groups.guardDevices);
  assert.equal(groups.place('x', { own: true, parent: '' }).manager, 'disabled');
  assert.equal(groups.directories, []);
  assert.throws(() => groups.place('x', { own: false, parent: '', limits: { pids: 3 } }), /limits of the steps cannot be set/);
});

test('on v1 one devices group holds this process until it leaves', () => {
  const mode = cgroupMode();
  if (mode !== 'v1' && mode !== 'hybrid') return console.log(`SKIP v1: this host has ${mode}`);
  const own = () => /:devices:(.*)/.exec(readFileSync('/proc/self/cgroup', 'latin1'))?.[1];
  const before = own();
  const groups = enterCgroups(mode, 'crun', NAME);
  assert.not(groups.guardDevices);
  assert.ok(own()?.endsWith(NAME));
  const list = readFileSync(`${groups.directories[0]}/devices.list`, 'latin1');
  assert.match(list, /^c 1:3 rwm$/m);
  assert.not.match(list, /^a /m);
  groups.leave();
  assert.is(own(), before);
  assert.not(existsSync(groups.directories[0] ?? '/'));
});

test('a wish for a group of its own is granted, below the parent', () => {
  const mode = cgroupMode();
  if (mode !== 'v1' && mode !== 'hybrid') return console.log(`SKIP parent: this host has ${mode}`);
  const groups = enterCgroups(mode, 'crun', NAME);
  try {
    assert.is(groups.place('a', { own: true, parent: 'team/x' }).path, '/team/x/a');
    assert.is(groups.place('a', { own: true, parent: '' }).path, '/a');
  } finally {
    groups.leave();
  }
});

test('on v2 each process has a group, its counters are read, and none is left', () => {
  using tree = makeTree();
  const script = new URL('./unified.child.ts', import.meta.url).pathname;
  const { stdout, stderr, status } = spawnSync(process.execPath, [script, tree.stateDir, tree.root], { encoding: 'utf8' });
  if (/EBUSY|EPERM|ENODEV/.test(stderr)) return console.log('SKIP v2: this host does not let cgroup2 be mounted');
  assert.is(status, 0, stderr);
  const outcome = JSON.parse(stdout) as { stdout: string; left: string[]; usage?: { cpuMs: number } };
  assert.is(outcome.stdout, '1\n0::/\n');
  assert.ok((outcome.usage?.cpuMs ?? 0) > 0);
  assert.equal(outcome.left, []);
  assert.equal(
    readdirSync(tree.stateDir).filter((name) => /^\d/.test(name)),
    [],
  );
});

if (!reason) test.run();
