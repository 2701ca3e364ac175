import { globSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { processesWith, Rig, run, steps } from './rig.ts';

interface Shown {
  readonly ID: string;
  readonly Type: string;
  readonly Size: number;
  readonly Description: string;
  readonly Reclaimable: boolean;
  readonly Shared: boolean;
  readonly InUse: boolean;
}

async function du(rig: Rig, ...args: string[]): Promise<Shown[]> {
  const { stdout } = await rig.kiln(['du', '--format=json', ...args], { expect: 0 });
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Shown);
}

function total(items: readonly Shown[]): number {
  return items.reduce((sum, { Size }) => sum + Size, 0);
}

async function prepared(): Promise<Rig> {
  const rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: `
FROM busybox
COPY a /a
RUN --mount=type=cache,target=/cc head -c 2000000 /dev/urandom > /r && cp /r /cc/r && ln /r /r2
RUN echo hi > /b
`,
    a: 'a',
  });
  return rig;
}

test('du counts every byte on the disk once', async () => {
  await using rig = await prepared();
  await rig.build('c', '-t', 'x');
  const items = await du(rig);
  // The size of the index changes when it is opened. The directories of the store are no items.
  const { stdout } = await run(['du', '-s', '--block-size=1', '--exclude=kiln.db*', rig.store], {
    expect: 0,
  });
  const counted = total(items.filter(({ ID }) => ID !== 'index'));
  assert.ok(
    Math.abs(Number(/^\d+/.exec(stdout)?.[0]) - counted) < 128 * 1024,
    `${stdout} ${counted}`,
  );
  assert.ok(items.some(({ ID, Size }) => ID === 'index' && Size > 0));
  const step = items.find(({ Description }) => /RUN --mount/.test(Description))!;
  assert.ok(step.Size > 2_000_000 && step.Size < 2_100_000, 'hard links count once');
  assert.ok(step.Shared && !step.Reclaimable);
  assert.ok(items.some(({ Type, Reclaimable }) => Type === 'exec.cachemount' && Reclaimable));
});

test('prune keeps what images need, and removes the whole cache when there are none', async () => {
  await using rig = await prepared();
  await rig.build('c', '-t', 'x');
  const dry = await rig.kiln(['prune', '--dry-run'], { expect: 0 });
  assert.match(dry.stdout, /cache mount .*: asked for/);
  assert.not.match(dry.stdout, /RUN/);
  await rig.kiln(['prune', '--force'], { expect: 0 });
  assert.is((await rig.kiln(['run', 'x', 'cat', '/b'], { expect: 0 })).stdout, 'hi\n');
  assert.equal(new Set(steps(await rig.build('c')).values()), new Set(['CACHED']));
  await rig.kiln(['rmi', 'x'], { expect: 0 });
  const { stdout } = await rig.kiln(['prune', '--force'], { expect: 0 });
  assert.match(stdout, /RUN echo hi > \/b: asked for[\s\S]*Freed 2\.\d+MB/);
  assert.equal(readdirSync(`${rig.store}/layers`).length, 1, 'the base of the named image');
  assert.is(steps(await rig.build('c')).get('[stage-0 4/4] RUN echo hi > /b') ?? 'no', 'DONE');
});

test('prune without --force asks, and removes nothing without an answer', async () => {
  await using rig = await prepared();
  await rig.build('c');
  const { stdout } = await rig.kiln(['prune'], { expect: 0, stdin: '' });
  assert.match(stdout, /Are you sure/);
  assert.not.match(stdout, /Freed/);
  assert.match((await rig.kiln(['prune'], { expect: 0, stdin: 'y\n' })).stdout, /Freed 4\.\d+MB/);
});

test('prune keeps a size limit by removing the least recently used items', async () => {
  await using rig = await prepared();
  for (const name of ['one', 'two', 'three']) {
    rig.write(name, { Dockerfile: `FROM busybox\nRUN head -c 1000000 /dev/urandom > /${name}\n` });
    await rig.build(name);
  }
  const before = await du(rig, '--filter', 'private');
  assert.ok(total(before) > 3_000_000);
  await rig.kiln(['prune', '--force', '--max-used-space', '2200k'], { expect: 0 });
  const left = (await du(rig, '--filter', 'private')).filter(
    ({ ID, Type }) => Type === 'regular' && !ID.startsWith('sha256:'),
  );
  assert.ok(total(left) <= 2200 * 1024);
  assert.equal(left.map(({ Description }) => /\/(\w+)$/.exec(Description)?.[1]).sort(), [
    'three',
    'two',
  ]);
});

test('rmi frees what only that image needed', async () => {
  await using rig = await prepared();
  await rig.build('c', '-t', 'x');
  const { stdout } = await rig.kiln(['rmi', 'busybox'], { expect: 0 });
  assert.match(stdout, 'Untagged: busybox:latest');
  assert.is((await rig.kiln(['run', 'x', 'cat', '/b'], { expect: 0 })).stdout, 'hi\n');
  await rig.kiln(['prune', '--all', '--force'], { expect: 0 });
  assert.is((await rig.kiln(['run', 'x', 'cat', '/a'], { expect: 0 })).stdout, 'a');
  await rig.kiln(['rmi', 'x'], { expect: 0 });
  assert.equal(readdirSync(`${rig.store}/layers`), []);
  await rig.kiln(['prune', '--all', '--force'], { expect: 0 });
  assert.equal(readdirSync(`${rig.store}/blobs/sha256`), []);
});

test('prune removes nothing that a running build uses', async () => {
  await using rig = await prepared();
  await rig.build('c');
  rig.write('d', {
    Dockerfile: `
FROM busybox
COPY a /a
RUN --mount=type=cache,target=/cc head -c 2000000 /dev/urandom > /r && cp /r /cc/r && ln /r /r2
RUN echo hi > /b
RUN --mount=type=cache,id=gate,target=/gate echo started; \
until [ -e /gate/go ]; do sleep 0.02; done; cat /b > /c
RUN cat /c /a > /d
`,
    a: 'a',
  });
  let pruned: Promise<unknown> | undefined;
  const built = rig.kiln(['build', '--progress=plain', '-t', 'y', 'd'], {
    expect: 0,
    watch: (output) => {
      if (pruned || !/ started$/m.test(output)) return;
      pruned = rig.kiln(['prune', '--all', '--force'], { expect: 0 }).finally(() => {
        for (const data of globSync(`${rig.store}/caches/*/0/data`))
          writeFileSync(`${data}/go`, '');
      });
    },
  });
  const ran = await built;
  assert.ok(pruned, ran.stderr);
  await pruned;
  assert.is((await rig.kiln(['run', 'y', 'cat', '/d'], { expect: 0 })).stdout, 'hi\na');
});

test('the policies of kiln.toml decide what an automatic collection removes', async () => {
  await using rig = await prepared();
  await rig.build('c');
  const config = `${rig.write('etc', {
    'kiln.toml': '[[worker.oci.gcpolicy]]\nfilters = ["type==exec.cachemount"]\n',
  })}/kiln.toml`;
  const { stdout } = await rig.kiln(['prune', '--auto'], {
    expect: 0,
    env: { KILN_CONFIG: config },
  });
  assert.match(stdout, /cache mount .*: asked for \(policy 1\)/);
  assert.not.match(stdout, /RUN/);
});

test('a build that made a layer starts a collection when one is due', async () => {
  await using rig = await prepared();
  await rig.build('c');
  const config = `${rig.write('etc', {
    'kiln.toml': '[[worker.oci.gcpolicy]]\nfilters = ["type==exec.cachemount"]\n',
  })}/kiln.toml`;
  const collecting = async (...args: string[]) => {
    utimesSync(`${rig.store}/collected`, 1, 1);
    await rig.kiln(['build', '-q', ...args, 'c'], { expect: 0, env: { KILN_CONFIG: config } });
  };
  await collecting();
  assert.is(
    statSync(`${rig.store}/collected`).mtimeMs,
    1000,
    'nothing was made, so nothing is collected',
  );
  rig.write('c', { a: 'other' });
  await collecting();
  const there = () => globSync(`${rig.store}/caches/*/0.lock`).length > 0;
  for (let attempt = 0; attempt < 500 && there(); attempt++)
    await new Promise((done) => setTimeout(done, 20));
  assert.not(there());
  // Last, the collection removes its lease and its scratch directory.
  for (let attempt = 0; attempt < 500 && processesWith(rig.store).length > 0; attempt++)
    await new Promise((done) => setTimeout(done, 20));
  assert.equal(processesWith(rig.store), []);
});

test('cache mounts of one ID are told apart by the steps that used them first', async () => {
  await using rig = await Rig.create('busybox');
  const mount = 'RUN --mount=type=cache,id=pkg,target=/cc';
  rig.write('c', {
    Dockerfile: `FROM busybox\n${mount} echo 1 >/cc/1\n${mount},uid=5 \\\n  echo 2 >/cc/2\n`,
  });
  await rig.build('c');
  const { stdout } = await rig.kiln(['cache', 'ls', '--format', 'json'], { expect: 0 });
  const found = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .map(({ mount: id, step }) => `${id}: ${step}`);
  assert.equal(found.sort(), ['pkg: echo 1 >/cc/1', 'pkg: echo 2 >/cc/2']);
});

test('cache mounts are listed, saved, restored elsewhere, and removed', async () => {
  await using rig = await Rig.create('busybox');
  await using other = await Rig.create('busybox');
  const step = (text: string) =>
    `FROM busybox\nRUN --mount=type=cache,id=pkg,target=/cc,uid=12,mode=0750 ${text}\n`;
  rig.write('c', { Dockerfile: step('echo kept > /cc/f && mkdir /cc/d') });
  await rig.build('c');
  const { stdout } = await rig.kiln(['cache', 'ls'], { expect: 0 });
  assert.match(stdout, /^pkg +[0-9a-f]{24}-0 +\S+ +\d+ seconds? ago +echo kept > \/cc\/f/m);
  assert.match(
    (await rig.kiln(['cache', 'ls', '--records'], { expect: 0 })).stdout,
    'RUN --mount=type=cache',
  );
  const saved = other.path('saved');
  assert.match(
    (await rig.kiln(['cache', 'export', saved, 'pkg'], { expect: 0 })).stdout,
    /saved 1 cache mounts/,
  );
  await other.kiln(['cache', 'import', saved, 'pkg'], { expect: 0 });
  other.write('c', { Dockerfile: step('cat /cc/f > /out && stat -c "%u %a" /cc >> /out') });
  await other.build('c', '-t', 'x');
  assert.is(
    (await other.kiln(['run', 'x', 'cat', '/out'], { expect: 0 })).stdout,
    'kept\n12 750\n',
  );
  await other.kiln(['cache', 'rm', 'pkg'], { expect: 0 });
  assert.match(
    (await other.kiln(['cache', 'inspect', 'pkg'], { expect: 1 })).stderr,
    'KILN_CACHE_NOT_FOUND',
  );
});

test('with --no-cache a cache mount is empty at first', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile:
      'FROM busybox\nRUN --mount=type=cache,target=/cc echo x >> /cc/f && wc -l < /cc/f > /n\n',
  });
  const count = async (...args: string[]) => {
    rig.write('c', { [`touch${Math.random()}`]: '' });
    await rig.build('c', '-t', 'x', ...args);
    return (await rig.kiln(['run', 'x', 'cat', '/n'], { expect: 0 })).stdout.trim();
  };
  assert.is(await count(), '1');
  await rig.kiln(['prune', '--force', '--filter', 'type=regular'], { expect: 0 });
  assert.is(await count(), '1', 'cached: the image keeps its layers');
  assert.is(await count('--no-cache'), '1');
});

test.run();
