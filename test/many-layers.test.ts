import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chownSync, readdirSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { archive } from '../snapshotter/layer/archive.fixture.ts';
import { cat, KILN, Rig, run } from './rig.ts';
import { asUser, done, prepared, UID } from './user.ts';

const COUNT = 520;
const sha = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/**
 * Makes an OCI layout with an image of COUNT layers. Each layer adds a file and removes the file
 * of the layer before it. Every tenth file is kept.
 */
function layout(rig: Rig, directory: string): void {
  const blob = (bytes: Uint8Array) => {
    rig.write(`${directory}/blobs/sha256`, { [sha(bytes).slice(7)]: bytes });
    return { digest: sha(bytes), size: bytes.length };
  };
  const layers = Array.from({ length: COUNT }, (_, at) => {
    const removed = at > 0 && at % 10 !== 0 ? [{ path: `l/.wh.f${at - 1}` }] : [];
    return archive({ path: 'l/', type: 'directory' }, ...removed, {
      path: `l/f${at}`,
      content: `${at}`,
    });
  });
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  const config = json({
    architecture: 'amd64',
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: layers.map(sha) },
    history: layers.map((_, at) => ({ created_by: `layer ${at}` })),
  });
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = json({
    schemaVersion: 2,
    mediaType,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...blob(config) },
    layers: layers.map((layer) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      ...blob(layer),
    })),
  });
  rig.write(directory, {
    'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
    'index.json': json({ schemaVersion: 2, manifests: [{ mediaType, ...blob(manifest) }] }),
  });
}

/** The files that are left in the image. */
const LEFT = COUNT / 10;
const DOCKERFILE = `FROM many AS counted
RUN --mount=from=busybox,target=/bb ["/bb/bin/busybox", "sh", "-c", "/bb/bin/busybox ls /l | \
/bb/bin/busybox wc -l > /n"]
FROM busybox
COPY --from=counted /l /l
COPY --from=counted /n /n
`;

test(`an image of ${COUNT} layers is built on, copied from and run`, async () => {
  await using rig = await Rig.create('busybox');
  layout(rig, 'many');
  rig.write('c', { Dockerfile: DOCKERFILE });
  const build = [
    KILN,
    'build',
    '--build-context',
    `many=oci-layout://${rig.path('many')}`,
    '-t',
    'x',
    '-t',
    'y',
    'c',
  ];
  await run(['sh', '-c', 'ulimit -n 1024; exec "$@"', 'sh', ...build], {
    cwd: rig.directory,
    env: { KILN_ROOT: rig.store },
    expect: 0,
  });
  assert.is(await cat(rig, 'x', '/n'), `${LEFT}\n`);
  assert.is(
    (await rig.kiln(['run', 'x', 'ls', '/l'], { expect: 0 })).stdout.split('\n').length - 1,
    LEFT,
  );
  await rig.build(
    'c',
    '--build-context',
    `many=oci-layout://${rig.path('many')}`,
    '--target',
    'counted',
    '-t',
    'counted',
  );
  const { RootFS } = JSON.parse(
    (await rig.kiln(['inspect', 'counted'], { expect: 0 })).stdout,
  )[0] as {
    RootFS: { Layers: string[] };
  };
  assert.is(RootFS.Layers.length, COUNT + 1);
  assert.equal(
    readdirSync(rig.path('store/tmp')).filter((name) => name.startsWith('fold')),
    [],
  );
});

test('a Dockerfile of 260 steps and more is built and run, then all cached', async () => {
  await using rig = await Rig.create('busybox');
  const steps = Array.from({ length: 260 }, (_, at) => `WORKDIR /w/d${at}`);
  rig.write('c', {
    Dockerfile:
      'FROM busybox\n' +
      `${steps.join('\n')}\n` +
      'RUN rmdir /w/d0 && ls /w | wc -l > /n\n' +
      'COPY --from=busybox /bin/sh /w/d1/\n',
  });
  await rig.build('c', '-t', 'x');
  assert.is(await cat(rig, 'x', '/n'), '259\n');
  const again = await rig.build('c', '-t', 'x');
  assert.is(again.match(/^#\d+ CACHED$/gm)?.length, 263);
});

test('an ordinary user can build on such an image', async () => {
  await using rig = await prepared(DOCKERFILE);
  layout(rig, 'many');
  execFileSync('chown', ['-R', `${UID}:${UID}`, rig.path('many')]);
  chownSync(rig.path('many'), UID, UID);
  await done(asUser(rig, 'with ids', 'load', '-q', '-i', 'busybox.tar'));
  await done(
    asUser(
      rig,
      'with ids',
      'build',
      '--build-context',
      `many=oci-layout://${rig.path('many')}`,
      '-t',
      'x',
      'c',
    ),
  );
  const ran = await done(asUser(rig, 'with ids', 'run', 'x', 'cat', '/n'));
  assert.is(ran.stdout, `${LEFT}\n`);
});

test.run();
