import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf, hexOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { type Descriptor, MEDIA } from '../base/oci.ts';
import { parseReference } from '../base/reference.ts';
import { never, quickClient } from '../registry/testing/client.ts';
import { memoryContent } from '../registry/testing/content.ts';
import { faultServer } from '../registry/testing/faults.ts';
import { makeImage, makeIndex, type TestImage } from '../registry/testing/images.ts';
import { registryMissing, startRegistry, TEST_LOGIN } from '../registry/testing/registry.ts';
import { type PushImage, type PushStatus, pushImage, storedImage } from './push-image.ts';

const AMD = makeImage([
  { name: 'hello', text: 'amd' },
  { name: 'shared', text: 'same everywhere' },
]);
const ARM = makeImage(
  [
    { name: 'hello', text: 'arm' },
    { name: 'shared', text: 'same everywhere' },
  ],
  { os: 'linux', architecture: 'arm64' },
);

/**
 * The image as if it were in a store: its documents are stored, and its blobs are read from memory.
 */
function asPush(
  images: readonly TestImage[],
  target: Descriptor,
  documents: readonly Buffer[],
  opened: string[] = [],
): PushImage {
  const content = memoryContent();
  for (const bytes of documents) content.put(bytes);
  const bytesOf = new Map(images.flatMap((image) => [...image.blobs]));
  return storedImage(content, target, (descriptor) => ({
    descriptor,
    open: async function* (start = 0, end = descriptor.size) {
      opened.push(descriptor.digest);
      yield bytesOf.get(descriptor.digest)!.subarray(start, end);
    },
  }));
}
const single = (image: TestImage, opened?: string[]) =>
  asPush([image], image.target, [image.bytes], opened);

const skip = registryMissing();
const real = (name: string, body: () => Promise<void>) => {
  if (skip) console.log(`SKIP ${name}: ${skip}`);
  else test(name, body);
};

real('a pushed image reads back with skopeo, byte for byte', async () => {
  await using registry = await startRegistry();
  await using client = quickClient();
  const index = makeIndex([AMD, ARM]);
  const image = asPush([AMD, ARM], index.target, [index.bytes, AMD.bytes, ARM.bytes]);
  await pushImage(client, image, [parseReference(`${registry.host}/team/app:1`)], {
    signal: never(),
  });
  const directory = mkdtempSync(join(tmpdir(), 'kiln-push-'));
  try {
    const args = [
      'copy',
      '--all',
      '--src-tls-verify=false',
      `docker://${registry.host}/team/app:1`,
      `oci:${directory}/out:1`,
    ];
    const copied = spawnSync('skopeo', args, { encoding: 'utf8' });
    assert.is(copied.status, 0, copied.stderr);
    for (const [digest, bytes] of [
      ...AMD.blobs,
      ...ARM.blobs,
      [index.target.digest, index.bytes] as const,
    ]) {
      assert.ok(readFileSync(join(directory, 'out/blobs/sha256', hexOf(digest))).equals(bytes));
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

real('a second push sends no blob, and a second tag only its manifest', async () => {
  await using registry = await startRegistry();
  await using client = quickClient();
  const opened: string[] = [];
  const statuses: PushStatus[] = [];
  const name = `${registry.host}/team/app`;
  const options = { signal: never(), report: (status: PushStatus) => void statuses.push(status) };
  await pushImage(
    client,
    single(AMD, opened),
    [parseReference(`${name}:1`), parseReference(`${name}:2`)],
    options,
  );
  assert.is(opened.length, 3, 'the layers and the config, once');
  await pushImage(client, single(AMD, opened), [parseReference(`${name}:3`)], options);
  assert.is(opened.length, 3);
  const outcomes = statuses.flatMap(({ outcome }) => outcome ?? []);
  assert.equal(outcomes, ['uploaded', 'uploaded', 'uploaded', 'present', 'present', 'present']);
  for (const tag of ['1', '2', '3'])
    assert.is((await client.head(parseReference(name), tag, never()))?.digest, AMD.target.digest);
});

real('a blob of another repository in the same registry is mounted', async () => {
  await using registry = await startRegistry();
  await using client = quickClient();
  const from = parseReference(`${registry.host}/team/base`);
  await pushImage(client, single(AMD), [from], { signal: never() });
  const opened: string[] = [];
  const image = single(AMD, opened);
  const known = { ...image, blobs: image.blobs.map((blob) => ({ ...blob, knownIn: [from] })) };
  const outcomes: unknown[] = [];
  const report = ({ outcome }: PushStatus) => void (outcome && outcomes.push(outcome));
  await pushImage(client, known, [parseReference(`${registry.host}/team/app`)], {
    signal: never(),
    report,
  });
  assert.equal(outcomes, ['mounted', 'mounted', 'mounted']);
  assert.equal(opened, []);
});

real('a large blob is uploaded in pieces', async () => {
  await using registry = await startRegistry();
  await using client = quickClient();
  const bytes = randomBytes(300_000);
  const repository = parseReference(`${registry.host}/big`);
  const digest = digestOf(bytes);
  const progress: number[] = [];
  const open = async function* (start = 0, end = bytes.length) {
    yield bytes.subarray(start, end);
  };
  const options = {
    signal: never(),
    chunkSize: 65_536,
    onProgress: (sent: number) => void progress.push(sent),
  };
  assert.is(
    await client.pushBlob(repository, { digest, size: bytes.length, open }, options),
    'uploaded',
  );
  assert.is(progress.length, 5);
  const content = memoryContent();
  await client.fetchBlob(
    repository,
    { mediaType: MEDIA.ociLayer, digest, size: bytes.length },
    content,
    never(),
  );
  assert.is(content.size(digest), bytes.length);
});

real('a registry with a login: pushed with it, refused without it', async () => {
  await using registry = await startRegistry({ login: true });
  const reference = parseReference(`${registry.host}/private/app`);
  await using known = quickClient({ credentials: async () => ({ kind: 'basic', ...TEST_LOGIN }) });
  await pushImage(known, single(AMD), [reference], { signal: never() });
  await using stranger = quickClient();
  for (const [client, code] of [
    [stranger, 'KILN_REGISTRY_UNAUTHORIZED'],
    [
      quickClient({
        credentials: async () => ({ kind: 'basic', username: 'baker', password: 'wrong' }),
      }),
      'KILN_REGISTRY_DENIED',
    ],
  ] as const) {
    await using owned = client;
    const error = await pushImage(owned, single(ARM), [reference], { signal: never() }).catch(
      (caught: unknown) => caught,
    );
    assert.ok(error instanceof KilnError && error.code === code, String(error));
  }
});

test('a broken upload is sent again from the start', async () => {
  const bytes = randomBytes(200_000);
  await using server = await faultServer((request, response, count) => {
    if (request.method === 'HEAD') response.writeHead(404).end();
    else if (request.method === 'POST')
      response.writeHead(202, { location: `/v2/a/blobs/uploads/u?state=${count}` }).end();
    else if (request.path.includes('state=1')) response.destroy();
    else response.writeHead(201).end();
  });
  await using client = quickClient();
  const source = {
    digest: digestOf(bytes),
    size: bytes.length,
    open: async function* () {
      yield bytes;
    },
  };
  assert.is(
    await client.pushBlob({ domain: server.host, path: 'a' }, source, { signal: never() }),
    'uploaded',
  );
  const last = server.seen.at(-1);
  assert.ok(last?.body.equals(bytes));
  assert.is(
    last?.path,
    `/v2/a/blobs/uploads/u?state=2&digest=${encodeURIComponent(source.digest)}`,
  );
});

test('a broken piece is resumed with the bytes that the registry lacks', async () => {
  const bytes = randomBytes(100_000);
  const got: Buffer[] = [];
  await using server = await faultServer((request, response, count) => {
    const location = '/v2/a/blobs/uploads/u';
    const stored = () => ({ location, range: `0-${Buffer.concat(got).length - 1}` });
    if (request.method === 'HEAD') response.writeHead(404).end();
    else if (request.method === 'POST') response.writeHead(202, { location }).end();
    else if (request.method === 'GET') response.writeHead(204, stored()).end();
    else if (request.method === 'PUT') response.writeHead(201).end();
    else if (count === 2) {
      got.push(request.body.subarray(0, 10_000));
      response.destroy();
    } else {
      got.push(request.body);
      response.writeHead(202, stored()).end();
    }
  });
  await using client = quickClient();
  const source = {
    digest: digestOf(bytes),
    size: bytes.length,
    open: async function* (start = 0, end = bytes.length) {
      yield bytes.subarray(start, end);
    },
  };
  await client.pushBlob({ domain: server.host, path: 'a' }, source, {
    signal: never(),
    chunkSize: 40_000,
  });
  assert.ok(Buffer.concat(got).equals(bytes));
  const ranges = server.seen
    .filter((request) => request.method === 'PATCH')
    .map((request) => request.headers['content-range']);
  assert.equal(ranges, ['0-39999', '40000-79999', '50000-89999', '90000-99999']);
});

test('a registry that finds one request too large gets pieces', async () => {
  const bytes = Buffer.from('small enough for a test');
  await using server = await faultServer((request, response) => {
    const location = '/v2/a/blobs/uploads/u';
    if (request.method === 'HEAD') response.writeHead(404).end();
    else if (request.method === 'POST') response.writeHead(202, { location }).end();
    else if (request.method === 'PUT' && request.body.length > 0) response.writeHead(413).end();
    else if (request.method === 'PATCH')
      response.writeHead(202, { location, range: `0-${request.body.length - 1}` }).end();
    else response.writeHead(201).end();
  });
  await using client = quickClient();
  const source = {
    digest: digestOf(bytes),
    size: bytes.length,
    open: async function* () {
      yield bytes;
    },
  };
  assert.is(
    await client.pushBlob({ domain: server.host, path: 'a' }, source, { signal: never() }),
    'uploaded',
  );
});

test('one refused blob ends the push, and no manifest is sent', async () => {
  await using server = await faultServer((request, response) => {
    if (request.method === 'HEAD') response.writeHead(404).end();
    else response.writeHead(403).end('{"errors":[{"code":"DENIED","message":"quota exceeded"}]}');
  });
  await using client = quickClient();
  const error = await pushImage(client, single(AMD), [parseReference(`${server.host}/a`)], {
    signal: never(),
  }).catch((caught: unknown) => caught);
  assert.ok(error instanceof KilnError && error.code === 'KILN_REGISTRY_DENIED');
  assert.match((error as KilnError).message, 'quota exceeded');
  assert.not.ok(server.seen.some((request) => request.path.includes('/manifests/')));
});

test('an image with a missing blob is not pushed', () => {
  const content = memoryContent();
  content.put(AMD.bytes);
  assert.throws(
    () => storedImage(content, AMD.target),
    (error: unknown) => error instanceof KilnError && error.code === 'KILN_BLOB_MISSING',
  );
});

test.run();
