import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { type Descriptor, MEDIA } from '../base/oci.ts';
import { never, quickClient } from './testing/client.ts';
import { faultServer } from './testing/faults.ts';
import { makeImage } from './testing/images.ts';
import { registryMissing, startRegistry } from './testing/registry.ts';

const IMAGE = makeImage([{ name: 'a', text: 'a' }]);

/** A manifest whose subject is IMAGE. */
function about(artifactType: string): Buffer {
  const { mediaType, digest, size } = IMAGE.target;
  const subject = { mediaType, digest, size };
  return Buffer.from(
    JSON.stringify({ ...IMAGE.manifest, artifactType, subject, annotations: { of: artifactType } }),
  );
}

const named = (bytes: Buffer, artifactType: string): Descriptor => ({
  mediaType: MEDIA.ociManifest,
  digest: digestOf(bytes),
  size: bytes.length,
  artifactType,
  annotations: { of: artifactType },
});

const skip = registryMissing();
if (skip) console.log(`SKIP a registry without the referrers API: ${skip}`);
else
  test('without the referrers API the list is stored under a tag, each referrer once', async () => {
    await using registry = await startRegistry();
    await using client = quickClient();
    const repository = { domain: registry.host, path: 'team/app' };
    for (const [digest, bytes] of IMAGE.blobs) {
      const open = async function* () {
        yield bytes;
      };
      await client.pushBlob(repository, { digest, size: bytes.length, open }, { signal: never() });
    }
    const push = (bytes: Buffer) =>
      client.putManifest(repository, digestOf(bytes), MEDIA.ociManifest, bytes, never());
    await push(IMAGE.bytes);
    assert.equal(await client.referrers(repository, IMAGE.target.digest, never()), []);
    const [sbom, signature] = [about('application/sbom'), about('application/signature')];
    for (const bytes of [sbom, signature, sbom]) await push(bytes);
    assert.equal(await client.referrers(repository, IMAGE.target.digest, never()), [
      named(sbom, 'application/sbom'),
      named(signature, 'application/signature'),
    ]);
    const tag = `sha256-${IMAGE.target.digest.slice(7)}`;
    const list = await client.manifest(repository, tag, never());
    assert.is(list.document.kind, 'index');
  });

test('with the referrers API the list is read page by page, and no tag is written', async () => {
  const [sbom, signature] = [about('application/sbom'), about('application/signature')];
  const page = (bytes: Buffer, type: string) =>
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA.ociIndex,
      manifests: [named(bytes, type)],
    });
  await using server = await faultServer((request, response) => {
    const headers = { 'content-type': MEDIA.ociIndex };
    if (request.method === 'PUT')
      response.writeHead(201, { 'oci-subject': IMAGE.target.digest }).end();
    else if (request.path.includes('last='))
      response.writeHead(200, headers).end(page(signature, 'application/signature'));
    else
      response
        .writeHead(200, { ...headers, link: '<?last=1>; rel="next"' })
        .end(page(sbom, 'application/sbom'));
  });
  await using client = quickClient();
  const repository = { domain: server.host, path: 'team/app' };
  assert.equal(
    (await client.referrers(repository, IMAGE.target.digest, never())).map(
      ({ artifactType }) => artifactType,
    ),
    ['application/sbom', 'application/signature'],
  );
  assert.equal(
    server.seen.map(({ path }) => path),
    [
      `/v2/team/app/referrers/${IMAGE.target.digest}`,
      `/v2/team/app/referrers/${IMAGE.target.digest}?last=1`,
    ],
  );
  await client.putManifest(repository, digestOf(sbom), MEDIA.ociManifest, sbom, never());
  assert.is(server.seen.length, 3);
});

test('a next page on another server is not requested', async () => {
  const empty = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests: [] });
  await using other = await faultServer((_, response) => void response.writeHead(200).end(empty));
  await using server = await faultServer((_, response) => {
    const link = `<http://${other.host}/x>; rel="next"`;
    response.writeHead(200, { 'content-type': MEDIA.ociIndex, link }).end(empty);
  });
  await using client = quickClient();
  assert.equal(
    await client.referrers({ domain: server.host, path: 'a' }, IMAGE.target.digest, never()),
    [],
  );
  assert.is(other.seen.length, 0);
});

test.run();
