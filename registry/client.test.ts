import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import type { KilnError } from '../base/errors.ts';
import { type Descriptor, MEDIA } from '../base/oci.ts';
import { failure } from '../base/testing/failure.ts';
import { never, quickClient } from './testing/client.ts';
import { memoryContent } from './testing/content.ts';
import { type Answer, faultServer } from './testing/faults.ts';
import { makeImage } from './testing/images.ts';

const BLOB = randomBytes(900_000);
const LAYER: Descriptor = {
  mediaType: MEDIA.ociLayerGzip,
  digest: digestOf(BLOB),
  size: BLOB.length,
};
const IMAGE = makeImage([{ name: 'hello', text: 'hi' }]);

/** Fetches LAYER from a server that gives these answers. */
async function fetchFrom(answer: Answer) {
  const server = await faultServer(answer);
  const client = quickClient();
  const content = memoryContent();
  const progress: number[] = [];
  const repository = { domain: server.host, path: 'team/app' };
  const result = await client
    .fetchBlob(repository, LAYER, content, never(), (bytes) => progress.push(bytes))
    .then(
      () => undefined,
      (error: KilnError) => error,
    );
  await client[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  assert.is(content.openWriters(), 0, 'no temporary file is left');
  return {
    error: result,
    whole: content.size(LAYER.digest) === LAYER.size,
    seen: server.seen,
    progress,
    waits: client.waits,
    host: server.host,
  };
}

test('a blob arrives whole, with progress up to its size', async () => {
  const { error, whole, progress } = await fetchFrom((_, response) => void response.end(BLOB));
  assert.is(error, undefined);
  assert.ok(whole);
  assert.is(progress.at(-1), LAYER.size);
});

test('a broken transfer is resumed where it broke', async () => {
  const { error, whole, seen } = await fetchFrom((request, response, count) => {
    if (count === 1) {
      response.writeHead(200, { 'content-length': BLOB.length });
      response.write(BLOB.subarray(0, 300_000), () => response.destroy());
      return;
    }
    const from = Number(/bytes=(\d+)-/.exec(String(request.headers.range))?.[1]);
    response.writeHead(206, { 'content-range': `bytes ${from}-${BLOB.length - 1}/${BLOB.length}` });
    response.end(BLOB.subarray(from));
  });
  assert.is(error, undefined);
  assert.ok(whole);
  assert.is(seen.length, 2);
  assert.ok(
    Number(/bytes=(\d+)-/.exec(String(seen[1]?.headers.range))?.[1]) > 0,
    'the second request asks for the rest only',
  );
});

test('a server without ranges sends everything again, and the blob is whole', async () => {
  const { error, whole } = await fetchFrom((_, response, count) => {
    response.writeHead(200, { 'content-length': BLOB.length });
    if (count === 1) response.write(BLOB.subarray(0, 300_000), () => response.destroy());
    else response.end(BLOB);
  });
  assert.is(error, undefined);
  assert.ok(whole);
});

test('a wrong range is refused', async () => {
  const { error, whole } = await fetchFrom((_, response, count) => {
    if (count === 1) {
      response.writeHead(200, { 'content-length': BLOB.length });
      response.write(BLOB.subarray(0, 300_000), () => response.destroy());
      return;
    }
    response.writeHead(206, { 'content-range': `bytes 0-${BLOB.length - 1}/${BLOB.length}` });
    response.end(BLOB);
  });
  assert.is(error?.code, 'KILN_REGISTRY_ERROR');
  assert.not.ok(whole);
});

test('a resumed transfer with the wrong digest is tried once more from the start', async () => {
  const { error, whole } = await fetchFrom((request, response, count) => {
    const from = Number(/bytes=(\d+)-/.exec(String(request.headers.range))?.[1] ?? 0);
    response.writeHead(
      from > 0 ? 206 : 200,
      from > 0
        ? { 'content-range': `bytes ${from}-${BLOB.length - 1}/${BLOB.length}` }
        : { 'content-length': BLOB.length },
    );
    if (count === 1) response.write(BLOB.subarray(0, 300_000), () => response.destroy());
    else if (count === 2) response.end(Buffer.alloc(BLOB.length - from));
    else response.end(BLOB);
  });
  assert.is(error, undefined);
  assert.ok(whole);
});

test('bytes that do not match the digest are not kept', async () => {
  const { error, whole, host } = await fetchFrom(
    (_, response) => void response.end(Buffer.alloc(BLOB.length)),
  );
  assert.is(error?.code, 'KILN_DIGEST_MISMATCH');
  assert.match(error?.message ?? '', host);
  assert.not.ok(whole);
});

test('a blob announced with another size is refused before a byte is read', async () => {
  const { error, progress } = await fetchFrom((_, response) => {
    response.writeHead(200, { 'content-length': BLOB.length + 1 });
    response.end(Buffer.concat([BLOB, Buffer.alloc(1)]));
  });
  assert.is(error?.code, 'KILN_DIGEST_MISMATCH');
  assert.equal(progress, []);
});

test('a blob with endless bytes is cut off at its size', async () => {
  const { error, whole } = await fetchFrom((_, response) => {
    response.writeHead(200);
    const more = () => response.write(BLOB, () => !response.destroyed && more());
    more();
  });
  assert.is(error?.code, 'KILN_DIGEST_MISMATCH');
  assert.match(error?.message ?? '', 'more than');
  assert.not.ok(whole);
});

test('a blob that always ends early fails when its attempts are used up', async () => {
  const { error, seen } = await fetchFrom((request, response) => {
    if (request.headers.range)
      response
        .writeHead(206, { 'content-range': `bytes 1000-${BLOB.length - 1}/${BLOB.length}` })
        .end();
    else response.write(BLOB.subarray(0, 1000), () => response.end());
  });
  assert.is(error?.code, 'KILN_DIGEST_MISMATCH');
  assert.match(error?.message ?? '', 'ended after 1000');
  assert.ok(seen.length > 1 && seen.length < 10);
});

test('after 429 the client waits for as long as the server says', async () => {
  const { error, whole, waits } = await fetchFrom((_, response, count) => {
    if (count === 1)
      response
        .writeHead(429, { 'retry-after': '7' })
        .end('{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}');
    else response.end(BLOB);
  });
  assert.is(error, undefined);
  assert.ok(whole);
  assert.is(waits.length, 1);
  // The wait counts from the answer, and a busy machine begins it later.
  const [wait = 0] = waits;
  assert.ok(wait > 2_000 && wait <= 7_000, String(wait));
});

test('a server that asks for a wait of hours is given up, with its message', async () => {
  const { error, waits } = await fetchFrom((_, response) => {
    response
      .writeHead(429, { 'retry-after': '21600' })
      .end('{"errors":[{"code":"TOOMANYREQUESTS","message":"pull rate limit"}]}');
  });
  assert.is(error?.code, 'KILN_REGISTRY_RATE_LIMITED');
  assert.match(error?.message ?? '', /pull rate limit.*21600 s/);
  assert.equal(waits, []);
});

test('500 is tried again with growing delays, then reported', async () => {
  const { error, waits, seen } = await fetchFrom(
    (_, response) => void response.writeHead(500).end('\x1b[31moops'),
  );
  assert.is(error?.code, 'KILN_REGISTRY_ERROR');
  assert.match(error?.message ?? '', '500');
  assert.not.match(error?.message ?? '', '\x1b');
  assert.is(seen.length, 5);
  assert.is(waits.length, 4);
  assert.ok((waits[3] ?? 0) > (waits[0] ?? 0));
});

test('a redirect to another host is followed without the credentials', async () => {
  await using cdn = await faultServer((_, response) => void response.end(BLOB));
  await using server = await faultServer((request, response) => {
    if (!request.headers.authorization)
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    else response.writeHead(307, { location: `http://${cdn.host}/signed?x=1` }).end();
  });
  await using client = quickClient({
    credentials: async () => ({ kind: 'basic', username: 'u', password: 'p' }),
  });
  const content = memoryContent();
  await client.fetchBlob({ domain: server.host, path: 'a' }, LAYER, content, never());
  assert.is(content.size(LAYER.digest), LAYER.size);
  assert.is(cdn.seen[0]?.headers.authorization, undefined);
  assert.is(cdn.seen[0]?.path, '/signed?x=1');
});

test('a redirect to something that is not http and a circle of redirects are refused', async () => {
  const { error } = await fetchFrom(
    (_, response) => void response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
  );
  assert.match(error?.message ?? '', 'not safe');
  const circle = await fetchFrom(
    (request, response) => void response.writeHead(302, { location: request.path }).end(),
  );
  assert.match(circle.error?.message ?? '', 'circles');
});

test('a missing blob says that the image is incomplete', async () => {
  const { error, seen } = await fetchFrom(
    (_, response) => void response.writeHead(404).end('{"errors":[{"code":"BLOB_UNKNOWN"}]}'),
  );
  assert.is(error?.code, 'KILN_BLOB_NOT_FOUND');
  assert.is(seen.length, 1);
});

test('an abort ends a hanging transfer and keeps nothing', async () => {
  const abort = new AbortController();
  await using server = await faultServer((_, response) => {
    response.writeHead(200, { 'content-length': BLOB.length });
    response.write(BLOB.subarray(0, 1000));
  });
  await using client = quickClient();
  const content = memoryContent();
  const work = client.fetchBlob(
    { domain: server.host, path: 'a' },
    LAYER,
    content,
    abort.signal,
    () => abort.abort(),
  );
  assert.is((await failure(work)).code, 'KILN_CANCELLED');
  assert.is(content.openWriters(), 0);
});

test('silence in the middle of a body is a timeout', async () => {
  await using server = await faultServer((_, response) => {
    response.writeHead(200, { 'content-length': BLOB.length });
    response.write(BLOB.subarray(0, 1000));
  });
  await using client = quickClient({ timeouts: { idle: 50 }, retry: { attempts: 1 } });
  const error = await failure(
    client.fetchBlob({ domain: server.host, path: 'a' }, LAYER, memoryContent(), never()),
  );
  assert.is(error.code, 'KILN_REGISTRY_TIMEOUT');
  assert.match(error.message, 'stopped sending');
});

test('no answer at all is a timeout', async () => {
  await using server = await faultServer(() => {});
  await using client = quickClient({ timeouts: { headers: 50 }, retry: { attempts: 1 } });
  const error = await failure(
    client.manifest({ domain: server.host, path: 'a' }, 'latest', never()),
  );
  assert.is(error.code, 'KILN_REGISTRY_TIMEOUT');
  assert.match(error.message, 'did not answer');
});

test('a port without a listener is reported as unreachable at once', async () => {
  const server = await faultServer(() => {});
  const { host } = server;
  await server[Symbol.asyncDispose]();
  await using client = quickClient();
  const error = await failure(client.manifest({ domain: host, path: 'a' }, 'latest', never()));
  assert.is(error.code, 'KILN_REGISTRY_UNREACHABLE');
  assert.equal(client.waits, []);
});

/** Asks a server that gives this answer for the manifest `reference`. */
async function manifestFrom(answer: Answer, reference = 'latest') {
  await using server = await faultServer(answer);
  await using client = quickClient();
  return await client.manifest({ domain: server.host, path: 'team/app' }, reference, never());
}
const sending = (document: unknown, type: string, headers: Record<string, string> = {}): Answer => {
  const bytes = Buffer.isBuffer(document) ? document : Buffer.from(JSON.stringify(document));
  return (_, response) =>
    void response.writeHead(200, { 'content-type': type, ...headers }).end(bytes);
};

test('a manifest is returned with its digest, type and content', async () => {
  const fetched = await manifestFrom(sending(IMAGE.bytes, `${MEDIA.ociManifest}; charset=utf-8`));
  assert.is(fetched.digest, IMAGE.target.digest);
  assert.equal(fetched.document, { kind: 'manifest', manifest: IMAGE.manifest });
});

const both = {
  schemaVersion: 2,
  mediaType: MEDIA.ociManifest,
  manifests: [],
  layers: [],
  config: IMAGE.manifest.config,
};
const refused: readonly [string, Answer, string, RegExp][] = [
  [
    'whose Content-Type is not its mediaType',
    sending(IMAGE.manifest, MEDIA.dockerManifest),
    'KILN_MANIFEST_INVALID',
    /was sent as/,
  ],
  [
    'with both manifests and layers',
    sending(both, MEDIA.ociManifest),
    'KILN_MANIFEST_INVALID',
    /both/,
  ],
  [
    'sent as an index',
    sending({ ...IMAGE.manifest, mediaType: undefined }, MEDIA.ociIndex),
    'KILN_MANIFEST_INVALID',
    /not the type/,
  ],
  [
    'sent as plain JSON',
    sending({ ...IMAGE.manifest, mediaType: undefined }, 'application/json'),
    'KILN_MANIFEST_INVALID',
    /not the type/,
  ],
  [
    'that is a page of HTML',
    sending(Buffer.from('<html>login</html>'), 'text/html'),
    'KILN_MANIFEST_INVALID',
    /not a JSON/,
  ],
  [
    'of schema 1',
    sending({ schemaVersion: 1 }, 'application/vnd.docker.distribution.manifest.v1+prettyjws'),
    'KILN_MANIFEST_UNSUPPORTED',
    /schema 1/,
  ],
  [
    'larger than 4 MiB',
    sending(Buffer.alloc((4 << 20) + 1, 0x20), MEDIA.ociManifest),
    'KILN_MANIFEST_INVALID',
    /larger/,
  ],
  [
    'with a negative size',
    sending({ ...IMAGE.manifest, layers: [{ ...LAYER, size: -1 }] }, MEDIA.ociManifest),
    'KILN_MANIFEST_INVALID',
    /layers\[0\]\.size/,
  ],
  [
    'with a digest that is a path',
    sending(
      { ...IMAGE.manifest, layers: [{ ...LAYER, digest: 'sha256:../../etc' }] },
      MEDIA.ociManifest,
    ),
    'KILN_MANIFEST_INVALID',
    /layers\[0\]\.digest/,
  ],
  [
    'that is not what the registry says it is',
    sending(IMAGE.manifest, MEDIA.ociManifest, { 'docker-content-digest': digestOf('other') }),
    'KILN_DIGEST_MISMATCH',
    /instead of/,
  ],
];
for (const [what, answer, code, why] of refused) {
  test(`a manifest ${what} is refused`, async () => {
    const error = await failure(manifestFrom(answer));
    assert.is(error.code, code);
    assert.match(error.message, why);
  });
}

test('a manifest asked for by digest must have that digest', async () => {
  const error = await failure(
    manifestFrom(sending(IMAGE.bytes, MEDIA.ociManifest), digestOf('asked for')),
  );
  assert.is(error.code, 'KILN_DIGEST_MISMATCH');
});

test('unknown images, images that need a login and forbidden images are three errors', async () => {
  const status =
    (code: number): Answer =>
    (_, response) =>
      void response.writeHead(code).end();
  assert.is((await failure(manifestFrom(status(404)))).code, 'KILN_IMAGE_NOT_FOUND');
  assert.is((await failure(manifestFrom(status(401)))).code, 'KILN_REGISTRY_UNAUTHORIZED');
  assert.is((await failure(manifestFrom(status(403)))).code, 'KILN_REGISTRY_DENIED');
});

test('mirrors are asked first; a mirror that fails or sends wrong content is skipped', async () => {
  const good: Answer = (request, response) => {
    const bytes = request.path.includes('/blobs/') ? BLOB : IMAGE.bytes;
    response
      .writeHead(200, request.path.includes('/blobs/') ? {} : { 'content-type': MEDIA.ociManifest })
      .end(bytes);
  };
  await using mirror = await faultServer(good);
  await using liar = await faultServer(
    (_, response) => void response.end(Buffer.alloc(BLOB.length)),
  );
  await using origin = await faultServer(good);
  const config = { http: true, insecure: false, ca: [] };
  const hosts = new Map([
    [origin.host, { ...config, mirrors: [`http://${liar.host}`, `http://${mirror.host}/proxy`] }],
  ]);
  await using client = quickClient({ hosts });
  const repository = { domain: origin.host, path: 'team/app' };
  const content = memoryContent();
  await client.fetchBlob(repository, LAYER, content, never());
  assert.is(content.size(LAYER.digest), LAYER.size);
  assert.is(liar.seen.length, 1);
  assert.is(
    mirror.seen[0]?.path,
    `/v2/proxy/team/app/blobs/${LAYER.digest}?ns=${encodeURIComponent(origin.host)}`,
  );
  assert.is(origin.seen.length, 0);
});

test.run();
