import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { MEDIA } from '../base/oci.ts';
import { faultServer } from '../registry/testing/faults.ts';
import { makeImage } from '../registry/testing/images.ts';
import { Rig, run } from './rig.ts';

/** A registry that serves the same image for every tag and digest, with its real digest. */
function lyingRegistry() {
  const image = makeImage([{ name: 'payload', text: 'not what was asked for' }]);
  return faultServer((request, response) => {
    const [, kind, name = ''] = /^\/v2\/app\/(manifests|blobs)\/(.*)$/.exec(request.path) ?? [];
    const bytes = kind === 'manifests' ? image.bytes : image.blobs.get(name as never);
    if (!bytes) return void response.writeHead(404).end();
    const headers = { 'content-type': MEDIA.ociManifest, 'content-length': bytes.length };
    response.writeHead(200, {
      ...headers,
      ...(kind === 'manifests' && { 'docker-content-digest': image.target.digest }),
    });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  });
}

test('an image by digest is that image or an error, in every command', async () => {
  await using registry = await lyingRegistry();
  await using rig = await Rig.create();
  const pinned = `${registry.host}/app@${digestOf('wanted')}`;
  rig.write('from', { Dockerfile: `FROM ${pinned}\nCOPY Dockerfile /\n` });
  rig.write('copy', { Dockerfile: `FROM scratch\nCOPY --from=${pinned} /payload /\n` });
  rig.write('mount', { Dockerfile: `FROM scratch\nRUN --mount=from=${pinned},target=/m true\n` });
  rig.write('named', { Dockerfile: 'FROM base\nCOPY Dockerfile /\n' });
  const build = (context: string, ...args: string[]) => [
    'build',
    '--progress=plain',
    ...args,
    rig.path(context),
  ];
  for (const command of [
    build('from'),
    build('copy'),
    build('mount'),
    build('named', '--build-context', `base=docker-image://${pinned}`),
    ['pull', pinned],
    ['copy', pinned, `oci:${rig.path('copied')}`],
    ['imagetools', 'inspect', pinned],
  ]) {
    const { stderr } = await rig.kiln(command, { expect: 1 });
    assert.match(stderr, 'KILN_DIGEST_MISMATCH', command.join(' '));
  }
  rig.write('cached', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
  const told = await rig.build('cached', '--cache-from', `type=registry,ref=${pinned}`);
  assert.match(told, /WARNING.*(digest|KILN_DIGEST_MISMATCH)/is);
});

test('a local image is used for another platform with a warning, without a registry', async () => {
  await using registry = await lyingRegistry();
  await using rig = await Rig.create('busybox');
  const name = `${registry.host}/app:1`;
  rig.write('base', { Dockerfile: 'FROM busybox\nRUN echo mine > /mine\n' });
  await rig.build('base', '--platform=linux/amd64', '-t', name);
  rig.write('c', {
    Dockerfile:
      `FROM ${name}\n` +
      'COPY Dockerfile /x\n' +
      'FROM scratch\n' +
      'COPY --from=0 /mine /\n' +
      `COPY --from=${name} /mine /copied\n`,
  });
  const told = await rig.build('c', '--platform=linux/arm64', '-o', 'out');
  assert.match(told, 'InvalidBaseImagePlatform');
  assert.is(
    (await run(['cat', rig.path('out/mine'), rig.path('out/copied')], { expect: 0 })).stdout,
    'mine\nmine\n',
  );
  rig.write('named', { Dockerfile: 'FROM base\nCOPY Dockerfile /x\n' });
  const named = await rig.build(
    'named',
    '--platform=linux/arm64',
    '--build-context',
    `base=docker-image://${name}`,
  );
  assert.match(named, 'InvalidBaseImagePlatform');
  const refused = await rig.kiln(['run', '--platform=linux/arm64', name, 'true'], { expect: 1 });
  assert.match(refused.stderr, /KILN_PLATFORM_NOT_FOUND/);
  assert.match(refused.stderr, 'linux/amd64');
  assert.equal(registry.seen, []);
});

test.run();
