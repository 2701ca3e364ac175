import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Digest, digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { MEDIA } from '../base/oci.ts';
import type { ImageStore } from '../snapshotter/images.ts';
import { imageSources } from './pull.ts';
import { never, quickClient } from './testing/client.ts';
import { memoryContent } from './testing/content.ts';
import { faultServer } from './testing/faults.ts';
import { makeImage, makeIndex, type TestImage } from './testing/images.ts';

/**
 * A caller that asks for sha256:X gets exactly that content or an error, whatever a registry states
 * and sends. Nothing else is ever kept.
 */

const AMD64 = { os: 'linux', architecture: 'amd64' };
const HONEST = makeImage([{ name: 'a', text: 'honest' }]);
const INDEX = makeIndex([HONEST]);
const OTHER = makeImage([{ name: 'a', text: 'other.' }]);
const NO_IMAGES: ImageStore = {
  get: () => undefined,
  list: () => [],
  put: () => {},
  remove: () => false,
};

/**
 * The behaviour for one kind of answer: `stated` is the Docker-Content-Digest, `sent` is the bytes.
 */
interface Behaviour {
  readonly stated: 'right' | 'other' | 'junk' | 'none';
  readonly sent: 'right' | 'other' | 'changed' | 'cut' | 'nothing';
  readonly redirects: boolean;
}

interface Registry {
  readonly head: Behaviour;
  readonly manifest: Behaviour;
  readonly blob: Behaviour;
  /** True when the changed bytes are sent the first time only. */
  readonly onlyOnce: boolean;
}

const behaviour: fc.Arbitrary<Behaviour> = fc.record({
  stated: fc.constantFrom('right', 'other', 'junk', 'none'),
  sent: fc.constantFrom('right', 'right', 'other', 'changed', 'cut', 'nothing'),
  redirects: fc.boolean(),
});
const lying: fc.Arbitrary<Registry> = fc.record({
  head: behaviour,
  manifest: behaviour,
  blob: behaviour,
  onlyOnce: fc.boolean(),
});
const TRUE: Behaviour = { stated: 'right', sent: 'right', redirects: false };
const honest: Registry = { head: TRUE, manifest: TRUE, blob: TRUE, onlyOnce: false };

const right = new Map<string, Buffer>([
  ...HONEST.blobs,
  [HONEST.target.digest, HONEST.bytes],
  [INDEX.target.digest, INDEX.bytes],
]);

function instead(bytes: Buffer, kind: Behaviour['sent']): Buffer {
  switch (kind) {
    case 'right':
      return bytes;
    case 'other':
      return counterpart(bytes);
    case 'changed':
      return Buffer.concat([bytes.subarray(0, -1), Buffer.from([bytes.at(-1)! ^ 1])]);
    case 'cut':
      return bytes.subarray(0, bytes.length >> 1);
    case 'nothing':
      return Buffer.alloc(0);
  }
}

/** The corresponding part of another image. */
function counterpart(bytes: Buffer): Buffer {
  const parts = (image: TestImage) => [image.bytes, ...image.blobs.values()];
  const index = parts(HONEST).indexOf(bytes);
  return parts(OTHER)[index] ?? OTHER.bytes;
}

/** A registry that behaves as the result of `as()` says. */
function server(as: () => Registry) {
  return faultServer((request, response, count) => {
    const [, hop, kind, digest = ''] =
      /^\/v2(\/hop)?\/a\/(manifests|blobs)\/(sha256:.*?)(?:\?.*)?$/.exec(request.path) ?? [];
    const bytes = right.get(digest);
    if (!bytes) return void response.writeHead(404).end();
    const { head, manifest, blob, onlyOnce } = as();
    const how = request.method === 'HEAD' ? head : kind === 'blobs' ? blob : manifest;
    if (how.redirects && hop === undefined)
      return void response
        .writeHead(307, { location: request.path.replace('/v2/', '/v2/hop/') })
        .end();
    const sent = onlyOnce && count > 1 ? bytes : instead(bytes, how.sent);
    const stated = {
      right: digest,
      other: OTHER.target.digest,
      junk: 'sha256:xyz',
      none: undefined,
    }[how.stated];
    response.writeHead(200, {
      'content-length': sent.length,
      'content-type': bytes === INDEX.bytes ? MEDIA.ociIndex : MEDIA.ociManifest,
      ...(stated === undefined ? {} : { 'docker-content-digest': stated }),
    });
    response.end(request.method === 'HEAD' ? undefined : sent);
  });
}

/** Fetches everything of INDEX for AMD64, through the sources that a build uses. */
async function bring(host: string, mirrors: readonly string[], target: Digest) {
  const content = memoryContent();
  // Content that another image left in the store must not be mistaken for the content asked for.
  for (const bytes of [OTHER.bytes, ...OTHER.blobs.values()]) content.put(bytes);
  const hosts = new Map([[host, { mirrors, http: true, insecure: false, ca: [] }]]);
  for (const mirror of mirrors)
    hosts.set(mirror, { mirrors: [], http: true, insecure: false, ca: [] });
  await using sources = imageSources({
    content,
    images: NO_IMAGES,
    registry: { hosts, retry: { wait: async () => {} } },
  });
  const outcome = await (async () => {
    const image = await sources.resolve(`${host}/a@${target}`, AMD64, {
      pull: false,
      signal: never(),
    });
    for (const layer of image.manifest.layers)
      await sources.fetch(image, layer, { signal: never() });
    return image;
  })().catch((error: unknown) => error);
  for (const { digest } of content.list()) assert.is(digestOf(content.read(digest)), digest);
  return { outcome, content };
}

test('asked for a digest, a lying registry yields that content or an error', async () => {
  let current = honest;
  await using registry = await server(() => current);
  await fc.assert(
    fc.asyncProperty(lying, fc.boolean(), async (lies, byIndex) => {
      current = lies;
      const { target } = byIndex ? INDEX : HONEST;
      const { outcome, content } = await bring(registry.host, [], target.digest);
      if (outcome instanceof Error)
        return void assert.instance(outcome, KilnError, String(outcome));
      const image = outcome as { digest: Digest; manifestDigest: Digest };
      assert.is(image.digest, target.digest);
      assert.is(image.manifestDigest, HONEST.target.digest);
      for (const digest of HONEST.blobs.keys()) assert.ok(content.size(digest) !== undefined);
    }),
    { numRuns: 150 },
  );
});

test('a lying mirror is skipped, and the next endpoint is asked', async () => {
  let current = honest;
  await using mirror = await server(() => current);
  await using registry = await server(() => honest);
  await fc.assert(
    fc.asyncProperty(lying, async (lies) => {
      current = lies;
      const { outcome } = await bring(registry.host, [mirror.host], INDEX.target.digest);
      assert.not.instance(outcome, Error, String(outcome));
    }),
    { numRuns: 150 },
  );
});

test('a HEAD that states another digest than the one asked for is refused', async () => {
  const lies: Registry = { ...honest, head: { ...TRUE, stated: 'other' } };
  await using registry = await server(() => lies);
  const client = quickClient({
    hosts: new Map([[registry.host, { mirrors: [], http: true, insecure: false, ca: [] }]]),
  });
  const repository = { domain: registry.host, path: 'a' };
  const error = await client
    .head(repository, HONEST.target.digest, never())
    .catch((caught: unknown) => caught);
  assert.is((error as KilnError).code, 'KILN_DIGEST_MISMATCH');
  await client[Symbol.asyncDispose]();
});

test('bytes that were damaged on the way are requested once more', async () => {
  const lies: Registry = {
    ...honest,
    blob: { ...TRUE, sent: 'changed' },
    manifest: { ...TRUE, sent: 'changed' },
    onlyOnce: true,
  };
  await using registry = await server(() => lies);
  const { outcome } = await bring(registry.host, [], HONEST.target.digest);
  assert.not.instance(outcome, Error, String(outcome));
});

test.run();
