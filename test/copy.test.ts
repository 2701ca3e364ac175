import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hexOf } from '../base/digest.ts';
import { makeImage, makeIndex } from '../registry/testing/images.ts';
import { publish } from '../registry/testing/publish.ts';
import { registryMissing, startRegistry } from '../registry/testing/registry.ts';
import { Rig, run } from './rig.ts';

const AMD = makeImage([{ name: 'a', text: 'amd' }]);
const ARM = makeImage([{ name: 'a', text: 'arm' }], {
  os: 'linux',
  architecture: 'arm64',
  variant: 'v8',
});
const INDEX = makeIndex([AMD, ARM]);

const skip = registryMissing();
const real = (name: string, body: () => Promise<void>) => {
  if (skip) console.log(`SKIP ${name}: ${skip}`);
  else test(name, body);
};

const blobReads = (requests: readonly string[]) =>
  requests.filter((line) => /^GET .*\/blobs\/sha256/.test(line));
const blobWrites = (requests: readonly string[]) =>
  requests.filter((line) => /^(PUT|PATCH) .*\/blobs\//.test(line));

real('an image with all its platforms keeps its digests when it is copied', async () => {
  await using registry = await startRegistry();
  await using rig = await Rig.create();
  const name = await publish(registry.host, 'team/app', '1', [AMD, ARM]);
  const places = [
    `oci:${rig.path('layout')}:1`,
    `oci-archive:${rig.path('a.tar')}:1`,
    `docker-archive:${rig.path('d.tar')}:me/app:2`,
    'store:mine:3',
    `${registry.host}/other/app:4`,
    `docker://${registry.host}/other/app@${INDEX.target.digest}`,
  ];
  let from = name;
  for (const to of places) {
    const copied = await rig.kiln(['copy', from, to], { expect: 0 });
    assert.is(copied.stdout, `${INDEX.target.digest}\n`, `${from} to ${to}`);
    from = to;
  }
  for (const [digest, bytes] of [
    ...AMD.blobs,
    ...ARM.blobs,
    [INDEX.target.digest, INDEX.bytes] as const,
  ])
    assert.ok(readFileSync(rig.path('layout/blobs/sha256', hexOf(digest))).equals(bytes));
  await run(['skopeo', 'inspect', '--raw', `oci-archive:${rig.path('a.tar')}:1`], { expect: 0 });
  const read = await run(
    ['skopeo', 'inspect', '--tls-verify=false', `docker://${registry.host}/other/app:4`],
    { expect: 0 },
  );
  assert.is(JSON.parse(read.stdout).Digest, INDEX.target.digest);
  const docker = await run(['skopeo', 'inspect', `docker-archive:${rig.path('d.tar')}:me/app:2`], {
    expect: 0,
  });
  assert.is(JSON.parse(docker.stdout).Architecture, 'amd64');
  assert.equal(
    JSON.parse((await rig.kiln(['inspect', 'mine:3'], { expect: 0 })).stdout)[0].Platforms,
    ['linux/amd64', 'linux/arm64/v8'],
  );
});

real('within a registry blobs are mounted; between registries each is streamed once', async () => {
  await using registry = await startRegistry();
  await using second = await startRegistry();
  await using rig = await Rig.create();
  const name = await publish(registry.host, 'team/app', '1', [AMD, ARM]);
  const before = (await registry.requests()).length;
  await rig.kiln(['copy', name, `${registry.host}/other/app:1`], { expect: 0 });
  const mounting = (await registry.requests()).slice(before);
  assert.equal([blobReads(mounting), blobWrites(mounting)], [[], []]);
  assert.is(
    mounting.filter((line) => /\?mount=.* 201$/.test(line)).length,
    AMD.blobs.size + ARM.blobs.size,
  );
  await rig.kiln(['copy', name, `${second.host}/copy:1`], { expect: 0 });
  await rig.kiln(['copy', name, `${second.host}/copy:2`], { expect: 0 });
  assert.is(
    blobReads((await registry.requests()).slice(before)).length,
    AMD.blobs.size + ARM.blobs.size,
  );
  assert.is(blobWrites(await second.requests()).length, AMD.blobs.size + ARM.blobs.size);
  const tagged = await run(
    ['skopeo', 'inspect', '--raw', '--tls-verify=false', `docker://${second.host}/copy:2`],
    { expect: 0 },
  );
  assert.is(tagged.stdout, INDEX.bytes.toString());
});

real('an invalid place and a missing image are errors with a hint', async () => {
  await using registry = await startRegistry();
  await using rig = await Rig.create('busybox');
  for (const [from, to, code] of [
    [`${registry.host}/no/such:1`, `oci:${rig.path('x')}`, 'KILN_IMAGE_NOT_FOUND'],
    ['store:nothing', `oci:${rig.path('x')}`, 'KILN_IMAGE_NOT_FOUND'],
    ['oci::1', 'store:x', 'KILN_REFERENCE_INVALID'],
    [`oci:${rig.path('none')}`, 'store:x', 'KILN_LAYOUT_NOT_FOUND'],
    ['store:busybox', `${registry.host}/a@sha256:${'0'.repeat(64)}`, 'KILN_DIGEST_MISMATCH'],
  ] as const) {
    const failed = await rig.kiln(['copy', '-q', from, to]);
    assert.is(failed.code, 1, `${from} to ${to}`);
    assert.match(failed.stderr, code);
  }
});

real('login, a private image, logout', async () => {
  await using registry = await startRegistry({ login: true });
  await using rig = await Rig.create('busybox');
  const env = { DOCKER_CONFIG: rig.path('docker') };
  const kiln = (args: readonly string[], expect: number, stdin = '') =>
    rig.kiln(args, { env, expect, stdin });
  const name = `${registry.host}/private/busybox:1`;
  assert.match(
    (await kiln(['copy', '-q', 'store:busybox', name], 1)).stderr,
    'KILN_REGISTRY_UNAUTHORIZED',
  );
  const login = ['login', '-u', 'baker', '--password-stdin', registry.host];
  assert.match(
    (await kiln(login, 1, 'wrong')).stderr,
    /does not accept the login of baker.*\[KILN_REGISTRY_DENIED\]/,
  );
  const taken = await kiln(login, 0, 'baker\n');
  assert.is(taken.stdout, 'Login Succeeded\n');
  assert.match(taken.stderr, 'clear text');
  await kiln(['copy', '-q', 'store:busybox', name], 0);
  await kiln(['pull', '-q', name], 0);
  await kiln(['logout', registry.host], 0);
  assert.match((await kiln(['pull', '-q', name], 1)).stderr, 'KILN_REGISTRY_UNAUTHORIZED');
});

test.run();
