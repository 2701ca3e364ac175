import { readdirSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig } from './rig.ts';

/* The limits of steps, their use of resources, and their network, with the real binary. */

const hasGroups = () => readdirSync('/sys/fs/cgroup').length > 0;

test('a step that uses more memory than --memory is killed, and the error says so', async () => {
  if (!hasGroups()) return console.log('SKIP memory: no control groups');
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN tail -c 200000000 /dev/zero\n' });
  const ran = await rig.kiln(['build', '--progress=plain', '--memory=64m', 'c'], { expect: 1 });
  assert.match(ran.stderr, 'KILN_STEP_OOM');
  assert.match(ran.stderr, 'the step may use 64 MiB: give it more with --memory');
});

test('limits are not part of the cache key', async () => {
  if (!hasGroups()) return console.log('SKIP key: no control groups');
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo x > /x\n' });
  await rig.build('c', '--memory=64m', '--cpus=0.5', '--pids=20');
  assert.match(await rig.build('c', '--memory=128m'), /CACHED/);
});

test('what a step used is in the raw progress and in the log of the build', async () => {
  // A limit gives each step its own control group in every version of control groups, so its use
  // is counted exactly.
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: 'FROM busybox\nRUN head -c 80000000 /dev/zero | tail -c 60000000 | wc -c\n',
  });
  const { stderr } = await rig.kiln(['build', '--progress=rawjson', '--memory=300m', 'c'], {
    expect: 0,
  });
  const usages = stderr
    .split('\n')
    .filter(Boolean)
    .flatMap(
      (line) =>
        (JSON.parse(line) as { vertexes?: { usage?: { cpuMs: number; peakMemory?: number } }[] })
          .vertexes ?? [],
    )
    .flatMap(({ usage }) => (usage ? [usage] : []));
  assert.is(usages.length, 1);
  assert.ok((usages[0]?.cpuMs ?? 0) > 0);
  if (hasGroups()) assert.ok((usages[0]?.peakMemory ?? 0) > 60_000_000);
  const table = (await rig.kiln(['logs', '--usage'], { expect: 0 })).stdout.trimEnd().split('\n');
  assert.match(table[0] ?? '', /^STEP +TIME +CPU +PEAK MEMORY/);
  assert.match(table[1] ?? '', /^\[2\/2\] RUN head .* \d+\.\d+s +\d+\.\d+s/);
  assert.is(table.length, 2);
});

test('invalid limits are usage errors', async () => {
  await using rig = await Rig.create();
  for (const flags of [
    ['--memory=1m'],
    ['--memory=lots'],
    ['--memory-swap=64m'],
    ['--cpus=0'],
    ['--cpus=1', '--cpu-quota=5000'],
    ['--cpuset-cpus=a'],
    ['--pids=0'],
  ])
    assert.is((await rig.kiln(['build', ...flags, '.'])).code, 2, flags.join(' '));
});

test('a value that the kernel refuses is named', async () => {
  if (!hasGroups()) return console.log('SKIP refused: no control groups');
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN true\n' });
  const ran = await rig.kiln(['build', '--cpuset-cpus=4000', 'c'], { expect: 1 });
  assert.match(ran.stderr, 'KILN_LIMIT');
  assert.match(ran.stderr, /cpuset\.cpus cannot be set to 4000/);
});

test('a step has its own network, none, or that of the host when it is allowed', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile:
      'FROM busybox\n' +
      'RUN readlink /proc/self/ns/net\n' +
      'RUN --network=none ls /sys/class/net\n' +
      'RUN cat /etc/hosts\n',
  });
  const { readlinkSync } = await import('node:fs');
  const plain = await rig.build('c', '--add-host=db:10.0.0.7', '--no-cache');
  assert.not.match(plain, readlinkSync('/proc/self/ns/net'));
  assert.match(plain, /#\d+ \d+\.\d+ lo\n#\d+ DONE/);
  assert.match(plain, /10\.0\.0\.7\tdb/);
  assert.match(
    await rig.build('c', '--network=host', '--no-cache'),
    readlinkSync('/proc/self/ns/net'),
  );
  rig.write('h', { Dockerfile: 'FROM busybox\nRUN --network=host true\n' });
  assert.match((await rig.kiln(['build', 'h'], { expect: 1 })).stderr, 'KILN_NOT_ALLOWED');
  await rig.build('h', '--allow=network.host');
});

test.run();
