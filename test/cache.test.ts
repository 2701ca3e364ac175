import { chmodSync, readFileSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cat, Rig, steps } from './rig.ts';

/** Each RUN writes random bytes, so two builds have the same bytes exactly when it was cached. */
const DOCKERFILE = `
FROM busybox AS a
COPY a.txt /
RUN head -c 16 /dev/urandom | md5sum > /random-a
FROM busybox AS b
COPY b.txt /
RUN head -c 16 /dev/urandom | md5sum > /random-b
FROM busybox
COPY --from=a /random-a /
COPY --from=b /random-b /
RUN head -c 16 /dev/urandom | md5sum > /random-c
`;

async function randoms(
  rig: Rig,
  ...args: string[]
): Promise<{ a: string; b: string; c: string; plain: string }> {
  const plain = await rig.build('c', '-t', 'x', ...args);
  return {
    a: await cat(rig, 'x', '/random-a'),
    b: await cat(rig, 'x', '/random-b'),
    c: await cat(rig, 'x', '/random-c'),
    plain,
  };
}

async function prepared(): Promise<Rig> {
  const rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: DOCKERFILE, 'a.txt': 'a', 'b.txt': 'b', 'unused.txt': 'u' });
  return rig;
}

test('a build without changes runs nothing', async () => {
  await using rig = await prepared();
  const cold = await randoms(rig);
  const warm = await randoms(rig);
  assert.equal({ ...warm, plain: '' }, { ...cold, plain: '' });
  assert.equal(new Set(steps(warm.plain).values()), new Set(['CACHED']));
});

test('a touched file rebuilds nothing', async () => {
  await using rig = await prepared();
  const cold = await randoms(rig);
  utimesSync(rig.path('c/a.txt'), 1, 1);
  const warm = await randoms(rig);
  assert.equal({ ...warm, plain: '' }, { ...cold, plain: '' });
});

test('an edited file rebuilds exactly the steps that read it', async () => {
  await using rig = await prepared();
  const cold = await randoms(rig);
  writeFileSync(rig.path('c/b.txt'), 'edited');
  const edited = await randoms(rig);
  assert.is(edited.a, cold.a);
  assert.is.not(edited.b, cold.b);
  assert.is.not(edited.c, cold.c);
  writeFileSync(rig.path('c/b.txt'), 'b');
  const back = await randoms(rig);
  assert.equal(
    { ...back, plain: '' },
    { ...cold, plain: '' },
    'the earlier bytes hit the earlier record',
  );
});

test('two builds at once in one store run each step once', async () => {
  await using rig = await prepared();
  const both = await Promise.all([rig.build('c', '-t', 'x'), rig.build('c', '-t', 'y')]);
  for (const file of ['/random-a', '/random-b', '/random-c'])
    assert.is(await cat(rig, 'x', file), await cat(rig, 'y', file), both.join('\n\n'));
});

test('a file that no step reads can change freely', async () => {
  await using rig = await prepared();
  const cold = await randoms(rig);
  writeFileSync(rig.path('c/unused.txt'), 'changed');
  const warm = await randoms(rig);
  assert.equal({ ...warm, plain: '' }, { ...cold, plain: '' });
});

test('a changed mode or name is a miss, and so is an edit that keeps size and time', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: 'FROM busybox\nCOPY d /d\nRUN head -c 16 /dev/urandom | md5sum > /r\n',
    'd/f': '1234',
  });
  const build = async () => {
    await rig.build('c', '-t', 'x');
    return await cat(rig, 'x', '/r');
  };
  utimesSync(rig.path('c/d/f'), 1000, 1000);
  const first = await build();
  assert.is(await build(), first);
  writeFileSync(rig.path('c/d/f'), '4321');
  utimesSync(rig.path('c/d/f'), 1000, 1000);
  const edited = await build();
  assert.is.not(edited, first);
  chmodSync(rig.path('c/d/f'), 0o755);
  const mode = await build();
  assert.is.not(mode, edited);
  renameSync(rig.path('c/d/f'), rig.path('c/d/g'));
  assert.is.not(await build(), mode);
});

test('a changed build argument rebuilds from the first step that uses it', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile:
      'FROM busybox\n' +
      'RUN head -c 16 /dev/urandom | md5sum > /before\n' +
      'ARG A\n' +
      'RUN head -c 16 /dev/urandom | md5sum > /after\n',
  });
  const build = async (value: string) => {
    await rig.build('c', '-t', 'x', '--build-arg', `A=${value}`);
    return [await cat(rig, 'x', '/before'), await cat(rig, 'x', '/after')];
  };
  const one = await build('1');
  const two = await build('2');
  assert.is(two[0], one[0]);
  assert.is.not(two[1], one[1]);
  assert.equal(await build('1'), one);
});

test('a changed secret or label does not run a step again', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile:
      'FROM busybox\nRUN --mount=type=secret,id=s head -c 16 /dev/urandom | md5sum > /r\n',
  });
  writeFileSync(rig.path('s'), 'one');
  await rig.build('c', '-t', 'x', '--secret', 'id=s,src=s');
  const first = await cat(rig, 'x', '/r');
  writeFileSync(rig.path('s'), 'two');
  await rig.build('c', '-t', 'x', '--secret', 'id=s,src=s', '--label', 'v=2');
  assert.is(await cat(rig, 'x', '/r'), first);
});

test('--no-cache runs everything again, and the next build uses its results', async () => {
  await using rig = await prepared();
  const cold = await randoms(rig);
  const again = await randoms(rig, '--no-cache');
  assert.is.not(again.a, cold.a);
  assert.is.not(again.c, cold.c);
  const warm = await randoms(rig);
  assert.equal({ ...warm, plain: '' }, { ...again, plain: '' });
});

test('steps that succeeded before a failure are cached', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile:
      'FROM busybox\n' +
      'RUN head -c 16 /dev/urandom | md5sum > /r\n' +
      'COPY script /script\n' +
      'RUN sh /script\n',
    script: 'exit 3',
  });
  const failed = await rig.kiln(['build', '--progress=plain', '--metadata-file', 'm', 'c']);
  assert.is(failed.code, 1);
  writeFileSync(rig.path('c/script'), 'exit 0');
  const plain = await rig.build('c', '-t', 'x');
  const ends = steps(plain);
  assert.is([...ends].find(([name]) => name.includes('urandom'))?.[1], 'CACHED');
  assert.is([...ends].find(([name]) => name.includes('sh /script'))?.[1], 'DONE');
});

test('two equal steps of two stages run once', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: `
FROM busybox AS a
RUN head -c 16 /dev/urandom | md5sum > /r
FROM busybox AS b
RUN head -c 16 /dev/urandom | md5sum > /r
FROM busybox
COPY --from=a /r /a
COPY --from=b /r /b
`,
  });
  await rig.build('c', '-t', 'x');
  assert.is(await cat(rig, 'x', '/a'), await cat(rig, 'x', '/b'));
});

test('the full log of each build is kept', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: 'FROM busybox\nRUN for i in $(seq 3000); do echo line number $i of many; done\n',
  });
  await rig.kiln(['build', '--progress=quiet', '-t', 'x', 'c'], { expect: 0 });
  const logs = (await rig.kiln(['logs'], { expect: 0 })).stdout;
  assert.is(logs.match(/line number \d+ of many/g)?.length, 3000);
  assert.ok(readFileSync(rig.path('c/Dockerfile')).length > 0);
});

test.run();
