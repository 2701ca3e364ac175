import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { beside } from './beside.ts';
import { ARM, emulatesArm, NatsRig } from './nats-rig.ts';
import { processesWith, steps, testImage } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

/*
 * `kiln build --workers nats://…` and `kiln worker`, with a real nats-server. The workers are for
 * arm64, which they emulate: to the build they are native elsewhere.
 */

const ready = emulatesArm('workers');

function filesBelow(directory: string): string[] {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  return names.map((name) => join(directory, name)).filter((path) => statSync(path).isFile());
}

beside('steps of another platform run on a worker, with files and secrets, as here', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  const { rig } = nats;
  rig.write('.', { token: 's3cret-of-a-step' });
  rig.write('c', {
    Dockerfile: `
FROM --platform=$BUILDPLATFORM busybox AS tools
RUN uname -m > /tool
FROM busybox
COPY file /
COPY --from=tools /tool /tool
RUN uname -m > /machine; cat /file /tool
RUN --mount=type=secret,id=token wc -c < /run/secrets/token > /n
`,
    file: 'a-file-of-the-context\n',
    unused: 'x',
  });
  await using _worker = await nats.worker('one', ['busybox'], ARM);
  const args = ['--secret', 'id=token,src=token', ARM, 'c'];
  const { stderr } = await nats.build(['-o', 'out', ...args]);
  assert.match(stderr, /runs on worker one: linux\/arm64 would be emulated here/);
  assert.match(stderr, /^#\d+ [\d.]+ a-file-of-the-context$/m);
  const read = (name: string) => readFileSync(rig.path('out', name), 'utf8').trim();
  assert.equal([read('machine'), read('tool'), read('n')], ['aarch64', 'x86_64', '16']);
  // What it made is in the store now.
  const again = [...steps((await nats.build(args)).stderr)].filter(([name]) => /\d\/\d/.test(name));
  assert.ok(again.every(([, end]) => end === 'CACHED'));
  for (const path of filesBelow(nats.stored)) {
    const bytes = readFileSync(path);
    for (const text of ['s3cret-of-a-step', 'a-file-of-the-context', 'uname'])
      assert.not(bytes.includes(text), `${path} has ${text}`);
  }
});

beside('an image has the digest that it has on one machine', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  const { rig } = nats;
  rig.write('c', {
    Dockerfile: 'FROM busybox\nRUN echo a > /a && touch -d @1 /a\nRUN echo b >> /a\n',
  });
  await using _worker = await nats.worker('one', ['busybox'], ARM);
  const output = (name: string) => [
    '-q',
    '-o',
    `type=oci,dest=${name}.tar,rewrite-timestamp=true`,
    '--build-arg=SOURCE_DATE_EPOCH=1',
    '--provenance=mode=max',
    ARM,
    'c',
  ];
  const there = await nats.build(output('there'));
  // A store that has none of the worker's results.
  const env = { KILN_ROOT: rig.path('store-alone') };
  await rig.kiln(['load', '-q', '-i', testImage('busybox')], { env, expect: 0 });
  const here = await rig.kiln(['build', ...output('here')], { env, expect: 0 });
  assert.match(there.stdout, /^sha256:/);
  assert.is(there.stdout, here.stdout);
});

beside('which worker ran a step, and why, is told wherever a build is told of', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  const { rig } = nats;
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo one > /a\nRUN echo two > /b\n' });
  await using _worker = await nats.worker('one', ['busybox'], ARM);
  const why = 'linux/arm64 would be emulated here';
  const printed = async (...args: string[]) => (await rig.kiln(args, { expect: 0 })).stdout;
  const { stderr } = await nats.build(['--explain', ARM, 'c']);
  const placed = `runs on worker one: ${why}`;
  assert.is(stderr.split(`      ${placed}\n`).length, 3, stderr);
  assert.is((await printed('explain')).split(`      ${placed}\n`).length, 3);
  const names = ['[2/3] RUN echo one > /a', '[3/3] RUN echo two > /b'];
  const own = (all: { Name: string }[]) => all.filter(({ Name }) => /\[[23]\/3\]/.test(Name));
  const { Steps } = JSON.parse(await printed('history', 'inspect', '--format=json'));
  assert.equal(
    own(Steps)
      .map((step: object) => ({ ...step }) as Record<string, string>)
      .map(({ Worker, WorkerReason }) => [Worker, WorkerReason]),
    names.map(() => ['one', why]),
  );
  assert.match(await printed('history', 'inspect'), new RegExp(`RUN echo two > /b +one: ${why}`));
  const provenance = JSON.parse(
    await printed('history', 'inspect', 'attachment', '--type=provenance'),
  );
  const [worker, ...others] = provenance.invocation.environment.workers;
  assert.equal(others, []);
  assert.is(worker.name, 'one');
  for (const name of names)
    assert.ok(
      worker.steps.some((step: string) => step.endsWith(name)),
      worker.steps.join(),
    );
  // A build that finds all of it made has run nothing there.
  await nats.build(['--explain', ARM, 'c']);
  assert.not.match(await printed('explain'), /worker one/);
});

beside('a step that fails on a worker is told with its lines, and does not run here', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  nats.rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo told; exit 7\n' });
  await using _worker = await nats.worker('one', ['busybox'], ARM);
  const { stderr } = await nats.build([ARM, 'c'], { expect: 1 });
  assert.match(stderr, /^------\n(?:.*\n)?told\n------\nDockerfile:2$/m);
  assert.match(stderr, /exit code: 7 \[KILN_STEP_FAILED\]/);
  assert.is(stderr.match(/ told$/gm)?.length, 1);
});

beside('a worker that is killed in a step is a warning, and another one runs it', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  const { rig } = nats;
  const mark = `${process.pid}12.5`;
  rig.write('c', { Dockerfile: `FROM busybox\nRUN echo begun; sleep ${mark}; echo end\n` });
  await using one = await nats.worker('one', ['busybox'], ARM);
  let second: Promise<unknown> | undefined;
  const ran = nats.build([ARM, '--build-arg=x=1', 'c'], {
    expect: 130,
    watch(output, kill) {
      if (!second && /^#\d+ [\d.]+ begun$/m.test(output))
        second = one.end('SIGKILL').then(() => nats.worker('two', ['busybox'], ARM));
      if (/runs on worker two/.test(output)) kill('SIGINT');
    },
  });
  assert.match((await ran).stderr, /runs on worker two/);
  await second;
  // Ctrl-C has ended the step on the second worker.
  await gone(mark);
});

/** Waits until no process has this word. */
async function gone(word: string): Promise<void> {
  while (processesWith(word).length > 0) await new Promise((resolve) => setTimeout(resolve, 100));
}

beside('without workers, and with one that may not have secrets, steps run here', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  nats.rig.write('.', { token: 's3cret' });
  nats.rig.write('c', {
    Dockerfile:
      'FROM busybox\nRUN --mount=type=secret,id=token cat /run/secrets/token > /dev/null\n',
  });
  const args = ['--secret', 'id=token,src=token', '--no-cache', ARM, 'c'];
  assert.match((await nats.build(args)).stderr, /ran emulated/);
  await using _worker = await nats.worker('one', ['busybox'], ARM, '--no-secrets');
  const { stderr } = await nats.build(args);
  assert.match(stderr, /ran emulated/);
  assert.not.match(stderr, /runs on worker/);
});

beside('NATS that is killed and started again in a step loses nothing', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  nats.rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo begun; sleep 5; echo ended > /f\n' });
  await using _worker = await nats.worker('one', ['busybox'], ARM);
  let restarted: Promise<void> | undefined;
  const { stderr } = await nats.build(['-o', 'out', ARM, 'c'], {
    watch(output) {
      if (/^#\d+ [\d.]+ begun$/m.test(output)) restarted ??= nats.restart();
    },
  });
  await restarted;
  assert.is(readFileSync(nats.rig.path('out/f'), 'utf8'), 'ended\n');
  assert.is(stderr.match(/runs on worker one/g)?.length, 1);
  assert.not.match(stderr, /so this runs here/);
});

beside('two builds that need one step have it run once', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  const other = nats.rig.path('other');
  await nats.rig.kiln(['load', '-q', '-i', testImage('busybox')], { env: { KILN_ROOT: other } });
  nats.rig.write('c', {
    Dockerfile: 'FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /f; sleep 3\n',
  });
  await using _one = await nats.worker('one', ['busybox'], ARM);
  await using _two = await nats.worker('two', ['busybox'], ARM);
  const first = nats.build(['-o', 'out1', ARM, 'c'], {});
  const second = nats.build(['-o', 'out2', ARM, 'c'], { env: { KILN_ROOT: other } });
  await Promise.all([first, second]);
  const read = (name: string) => readFileSync(nats.rig.path(name, 'f'), 'utf8');
  assert.is(read('out1'), read('out2'));
});

beside('of two rows of steps that took long, one goes to any BuildKit', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig, socket } = serve;
  const store = rig.path('own');
  const env = { KILN_ROOT: store };
  await rig.kiln(['load', '-q', '-i', testImage('busybox')], { env, expect: 0 });
  const stage = (name: string) =>
    `FROM busybox AS ${name}\nARG X\nCOPY in /in\n` +
    `RUN sleep 3.5; echo ${name} $X $(cat /in) > /${name}\n`;
  rig.write('c', {
    Dockerfile: `${stage('a')}${stage('b')}FROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /\n`,
    in: 'read',
  });
  const build = (...args: string[]) =>
    rig.kiln(['build', '--progress=plain', '-o', 'out', ...args, 'c'], { env, expect: 0 });
  await build('--build-arg=X=1');
  const { stderr } = await build('--build-arg=X=2', '--workers', `unix://${socket}`);
  assert.is(stderr.match(/runs on worker unix:\S+: it took \d s the last time/g)?.length, 1);
  for (const name of ['a', 'b'])
    assert.is(readFileSync(rig.path('out', name), 'utf8'), `${name} 2 read\n`);
});

beside('a row of steps stays where moving what it stands on would take longer', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig, socket } = serve;
  const env = { KILN_ROOT: rig.path('own') };
  await rig.kiln(['load', '-q', '-i', testImage('busybox')], { env, expect: 0 });
  // 400 MB take 8 s at the rate that is counted on.
  const stage = (name: string) =>
    `FROM big AS ${name}\nARG X\nRUN sleep 3.5; echo ${name} $X > /${name}\n`;
  rig.write('c', {
    Dockerfile:
      `FROM busybox AS big\nRUN truncate -s 400M /big\n${stage('a')}${stage('b')}` +
      'FROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /\n',
  });
  const build = (...args: string[]) =>
    rig.kiln(['build', '--progress=plain', '-o', 'out', ...args, 'c'], { env, expect: 0 });
  await build('--build-arg=X=1');
  const { stderr } = await build('--build-arg=X=2', '--workers', `unix://${socket}`);
  assert.not.match(stderr, /runs on worker|runs here/);
  for (const name of ['a', 'b'])
    assert.is(readFileSync(rig.path('out', name), 'utf8'), `${name} 2\n`);
});

test.run();
