import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ARM, emulatesArm, NatsRig } from './nats-rig.ts';

/*
 * Cache mounts of steps on workers: a machine that has none begins with those of the other.
 */

const ready = emulatesArm('worker-caches');
const SHARED = '--worker-cache-mounts';

/** A step that adds its number to a file in a cache mount, and keeps what is there then. */
const stepWith = (number: number) =>
  `FROM busybox\nRUN --mount=type=cache,id=c,target=/c echo ${number} >> /c/f && cp /c/f /out\n`;

test('a worker begins with the mounts of the build, and keeps its own from then on', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  const { rig } = nats;
  const step = async (number: number, build: (args: string[]) => Promise<{ stderr: string }>) => {
    rig.write('c', { Dockerfile: stepWith(number) });
    const { stderr } = await build(['-o', `out${number}`, ARM, 'c']);
    return { stderr, made: readFileSync(rig.path(`out${number}`, 'out'), 'utf8') };
  };
  const here = (args: string[]) => rig.kiln(['build', ...args], { expect: 0 });
  const away = (args: string[]) => nats.build([SHARED, ...args]);
  const apart = (args: string[]) => nats.build(args);
  await step(1, here);
  await using _worker = await nats.worker('one', ['busybox'], ARM);
  const second = await step(2, away);
  assert.match(second.stderr, /runs on worker one/);
  assert.not.match(second.stderr, /cache mounts|so this runs here/);
  assert.is(second.made, '1\n2\n');
  // Each has a mount now, and nobody's is replaced.
  assert.is((await step(3, here)).made, '1\n3\n');
  assert.is((await step(4, away)).made, '1\n2\n4\n');
  assert.is((await step(5, apart)).made, '1\n2\n4\n5\n');
});

test('a build takes the mounts that it lacks, when it is asked to', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  const { rig } = nats;
  await using _worker = await nats.worker('one', ['busybox'], ARM);
  const mounts = async () => (await rig.kiln(['cache', 'ls'], { expect: 0 })).stdout;
  rig.write('c', { Dockerfile: stepWith(1) });
  await nats.build([ARM, 'c']);
  assert.not.match(await mounts(), /\/c\b/);
  rig.write('c', { Dockerfile: stepWith(2) });
  const { stderr } = await nats.build([SHARED, ARM, 'c']);
  assert.not.match(stderr, /cache mounts|so this runs here/);
  rig.write('c', { Dockerfile: stepWith(3) });
  await rig.kiln(['build', ARM, '-o', 'out', 'c'], { expect: 0 });
  assert.is(readFileSync(rig.path('out/out'), 'utf8'), '1\n2\n3\n');
});

test.run();
