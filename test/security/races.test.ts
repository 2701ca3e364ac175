import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startSwapper } from '../../snapshotter/sys/swapper.fixture.ts';
import { Rig, run } from '../rig.ts';

const ROUNDS = process.env['KILN_SOAK'] ? 60 : 6;

test('CVE-2024-23651: a directory of a shared cache swapped for a link has no effect', async () => {
  await using rig = await Rig.create('busybox');
  mkdirSync(rig.path('canary'));
  writeFileSync(rig.path('canary/token'), 'of the host');
  const mount = '--mount=type=cache,id=shared,target=/c';
  rig.write('swapper', {
    Dockerfile: `FROM busybox
RUN ${mount} echo swapping && \\
  while [ ! -e /c/stop ]; do ln -sfn ${rig.path('canary')} /c/new && \
mv -T /c/new /c/sub; ln -sfn real /c/new && mv -T /c/new /c/sub; done; rm /c/stop
`,
  });
  rig.write('victim', {
    Dockerfile: `FROM busybox
ARG ROUND
RUN --mount=type=cache,id=shared,source=sub,target=/m ls /m && cat /m/* && touch /m/written
`,
  });
  rig.write('stopper', { Dockerfile: `FROM busybox\nRUN ${mount} touch /c/stop\n` });
  const victim = (round: number) =>
    rig.kiln(['build', '--progress=plain', `--build-arg=ROUND=${round}`, 'victim']);
  rig.write('setup', {
    Dockerfile:
      'FROM busybox\n' +
      `RUN ${mount} mkdir /c/real && echo inside >/c/real/file && ln -s real /c/sub\n`,
  });
  await rig.kiln(['build', 'setup'], { expect: 0 });
  assert.match(
    (await victim(-1)).stderr,
    /\d inside$/m,
    'while nobody swaps it is the directory of the cache',
  );
  const begun = Promise.withResolvers<void>();
  const swapping = rig.kiln(['build', '--progress=plain', 'swapper'], {
    watch: (output) => {
      if (/\d swapping$/m.test(output)) begun.resolve();
    },
  });
  await begun.promise;
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const { code, stderr } = await victim(round);
      assert.not.match(stderr, /of the host|token/);
      if (code !== 0) assert.match(stderr, /KILN_MOUNT_SOURCE_MISSING/);
    }
  } finally {
    await rig.kiln(['build', 'stopper'], { expect: 0 });
    await swapping;
  }
  assert.equal(readdirSync(rig.path('canary')), ['token']);
});

test('CVE-2021-30465: a mount target swapped for a link makes nothing on the host', async () => {
  await using rig = await Rig.create('busybox');
  mkdirSync(rig.path('canary'));
  const mount = '--mount=type=cache,id=shared,target=/c';
  rig.write('swapper', {
    Dockerfile: `FROM busybox
RUN ${mount} mkdir -p /c/a/sub && ln -s ${rig.path('canary')} /c/b && echo swapping && \\
  while [ ! -e /c/stop ]; do mv -T /c/a /c/x; mv -T /c/b /c/a; mv -T /c/a /c/b; \
mv -T /c/x /c/a; done; rm /c/stop
`,
  });
  rig.write('victim', {
    Dockerfile: `FROM busybox
ARG ROUND
RUN ${mount} --mount=type=tmpfs,target=/c/a/sub/made \
--mount=type=bind,from=busybox,source=/bin,target=/c/a/other,rw touch /c/a/other/$ROUND
`,
  });
  rig.write('stopper', { Dockerfile: `FROM busybox\nRUN ${mount} touch /c/stop\n` });
  const begun = Promise.withResolvers<void>();
  const swapping = rig.kiln(['build', '--progress=plain', 'swapper'], {
    watch: (output) => {
      if (/\d swapping$/m.test(output)) begun.resolve();
    },
  });
  await begun.promise;
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const { stderr } = await rig.kiln([
        'build',
        '--progress=plain',
        `--build-arg=ROUND=${round}`,
        'victim',
      ]);
      assert.not.match(stderr, /bug in Kiln/);
      assert.equal(readdirSync(rig.path('canary')), []);
    }
  } finally {
    await rig.kiln(['build', 'stopper'], { expect: 0 });
    await swapping;
  }
  assert.equal(readdirSync(rig.path('canary')), []);
});

test('a directory of the context swapped for a link reveals nothing of the host', async () => {
  await using rig = await Rig.create('busybox');
  mkdirSync(rig.path('canary'));
  const canary = 'of the host';
  for (const name of ['f', 'token']) writeFileSync(rig.path('canary', name), canary);
  rig.write('c', { 'd/f': 'inside', 'd/e/f': 'inside' });
  symlinkSync('../canary', rig.path('c/s'));
  rig.write('c', {
    Dockerfile: `FROM busybox
ARG ROUND
COPY d /whole/
COPY d/f /file
ADD d/* /matched/
RUN --mount=type=bind,source=d,target=/m echo $ROUND >/round && cp -r /m /mounted
`,
  });
  const outcomes = { built: 0, refused: 0 };
  {
    await using _ = await startSwapper(rig.path('c/d'), rig.path('c/s'));
    for (
      let round = 0;
      round < ROUNDS * 2 || (outcomes.refused === 0 && round < ROUNDS * 10);
      round++
    ) {
      const out = rig.path(`out${round}`);
      const { code, stderr } = await rig.kiln([
        'build',
        '--no-cache',
        `--build-arg=ROUND=${round}`,
        '--output',
        out,
        'c',
      ]);
      if (code !== 0)
        assert.match(
          stderr,
          /KILN_CONTEXT_CHANGED|KILN_COPY_SOURCE_MISSING|KILN_MOUNT_SOURCE_MISSING/,
          stderr,
        );
      outcomes[code === 0 ? 'built' : 'refused']++;
      if (code === 0) assert.is((await run(['grep', '-rl', canary, out])).stdout, '');
      assert.is(
        (await run(['grep', '-rlI', canary, rig.store])).stdout,
        '',
        'nor is it in the store',
      );
    }
  }
  assert.ok(outcomes.refused > 0, 'the race never happened');
  assert.equal(readdirSync(rig.path('canary')).sort(), ['f', 'token']);
});

test.run();
