import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { registryMissing, startRegistry } from '../registry/testing/registry.ts';
import { DockerRig } from './docker-rig.ts';
import { ROOT, run } from './rig.ts';

/*
 * Programs that know only Docker's socket, and no BuildKit: they send an archive and read text.
 */

const DOCKERFILE = `
FROM busybox
ARG WORD
RUN echo "said $WORD"
RUN <<EOF
echo heredoc > /h
EOF
`;

const skip = registryMissing();
if (skip) console.log(`SKIP docker-py builds, lists, pushes, pulls, saves and loads: ${skip}`);
else
  test('docker-py builds, lists, pushes, pulls, saves and loads', async () => {
    await using registry = await startRegistry();
    await using rig = await DockerRig.create(['busybox']);
    rig.serve.rig.write('c', { Dockerfile: DOCKERFILE });
    const { stdout } = await run(
      ['python3', join(ROOT, 'test/clients/build.py'), rig.serve.rig.path('c'), registry.host],
      { env: rig.env, expect: 0 },
    );
    assert.is(
      stdout,
      `api 1.51
said True
label py
tags ['py:1']
layers True
build error True
pushed True False
pulled ['${registry.host}/py:1']
loaded ['py:2']
listed ['py:1', 'py:2']
not found
pruned True
usage True
`,
    );
  });

test('dockerode builds and asks about images, and testcontainers builds', async () => {
  await using rig = await DockerRig.create(['busybox']);
  rig.serve.rig.write('c', { Dockerfile: DOCKERFILE });
  const program = rig.serve.rig.path('build.mjs');
  cpSync(join(ROOT, 'test/clients/build.mjs'), program);
  const npm = join(ROOT, '.cache/clients/npm/node_modules');
  await run(['ln', '-s', npm, rig.serve.rig.path('node_modules')], { expect: 0 });
  const { stdout } = await run([process.execPath, program, rig.serve.rig.path('c')], {
    // It starts no container of its own, and does not ask for the network of the one it is in.
    env: {
      ...rig.env,
      TESTCONTAINERS_RYUK_DISABLED: 'true',
      TESTCONTAINERS_HOST_OVERRIDE: 'localhost',
    },
    expect: 0,
  });
  assert.is(
    stdout,
    `said true
id true
tags rode:1
history true
failing true
events linux
testcontainers true tc:1
`,
  );
});

test.run();
