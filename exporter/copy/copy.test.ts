import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Digest, digestOf, hexOf } from '../../base/digest.ts';
import { MEDIA } from '../../base/oci.ts';
import { parseReference } from '../../base/reference.ts';
import { never, quickClient } from '../../registry/testing/client.ts';
import { memoryContent } from '../../registry/testing/content.ts';
import { faultServer } from '../../registry/testing/faults.ts';
import { makeImage } from '../../registry/testing/images.ts';
import type { StoredImage } from '../../snapshotter/images.ts';
import { pushImage } from '../push-image.ts';
import { readTree } from './copy-source.ts';
import { layoutSource } from './layout-source.ts';
import { registrySource } from './registry-source.ts';
import { copyToLayout } from './to-layout.ts';
import { copyToStore } from './to-store.ts';

const IMAGE = makeImage([{ name: 'a', text: 'honest' }]);

/** Serves IMAGE. `blob` decides which bytes are sent for a blob. */
function registry(blob: (bytes: Buffer) => Buffer) {
  return faultServer((request, response) => {
    const [, kind, name = ''] = /^\/v2\/a\/(manifests|blobs)\/([^?]*)/.exec(request.path) ?? [];
    const bytes = kind === 'manifests' ? IMAGE.bytes : IMAGE.blobs.get(name as Digest);
    if (!bytes) return void response.writeHead(404).end();
    const sent = kind === 'blobs' ? blob(bytes) : bytes;
    response
      .writeHead(200, { 'content-type': MEDIA.ociManifest, 'content-length': sent.length })
      .end(sent);
  });
}

/** Accepts any upload. `got` holds the uploaded content by digest. */
function sink() {
  const got = new Map<string, Buffer>();
  const server = faultServer((request, response) => {
    const digest = new URL(request.path, 'http://x').searchParams.get('digest');
    if (request.method === 'HEAD') return void response.writeHead(404).end();
    if (request.method === 'POST')
      return void response.writeHead(202, { location: '/v2/b/blobs/uploads/u' }).end();
    if (digest !== null && digestOf(request.body) !== digest)
      return void response.writeHead(400).end();
    if (digest !== null) got.set(digest, request.body);
    response.writeHead(201).end();
  });
  return Object.assign(server, { got });
}

test('a mirror with wrong bytes damages no copy, wherever it goes', async () => {
  const root = mkdtempSync(join(tmpdir(), 'kiln-copy-'));
  try {
    for (const to of ['store', 'directory', 'archive', 'registry']) {
      await using mirror = await registry((bytes) => Buffer.alloc(bytes.length, 'lies'));
      await using honest = await registry((bytes) => bytes);
      const taker = sink();
      await using taking = await taker;
      const plain = { mirrors: [] as string[], http: true, insecure: false, ca: [] };
      const hosts = new Map([
        [honest.host, { ...plain, mirrors: [`http://${mirror.host}`] }],
        [taking.host, plain],
      ]);
      await using client = quickClient({ hosts });
      await using source = await registrySource(
        client,
        parseReference(`${honest.host}/a`),
        never(),
      );
      const image = await readTree(source);
      const options = { signal: never(), report: () => {} };
      if (to === 'store') {
        const content = memoryContent();
        const kept: StoredImage[] = [];
        const images = {
          get: () => undefined,
          list: () => kept,
          put: (one: StoredImage) => void kept.push(one),
          remove: () => false,
        };
        await copyToStore({ content, images }, image, 'docker.io/library/a:latest', options);
        for (const [digest, bytes] of IMAGE.blobs) assert.ok(content.read(digest).equals(bytes));
      } else if (to === 'directory') {
        await copyToLayout(
          image,
          { kind: 'oci', path: join(root, 'out'), tag: undefined },
          options,
        );
        for (const [digest, bytes] of IMAGE.blobs)
          assert.ok(readFileSync(join(root, 'out/blobs/sha256', hexOf(digest))).equals(bytes));
      } else if (to === 'archive') {
        const path = join(root, 'out.tar');
        const destination = { kind: 'file', path } as const;
        await copyToLayout(image, { kind: 'oci-archive', destination, tag: undefined }, options);
        const archived = layoutSource(path, undefined, never());
        await using _archive = archived;
        for (const { descriptor, open } of (await readTree(archived)).blobs)
          for await (const _ of open()) assert.ok(IMAGE.blobs.has(descriptor.digest));
      } else {
        await pushImage(client, image, [parseReference(`${taking.host}/b`)], {
          ...options,
          byDigest: false,
        });
        for (const [digest, bytes] of IMAGE.blobs) assert.ok(taker.got.get(digest)?.equals(bytes));
      }
    }
  } finally {
    rmSync(root, { recursive: true });
  }
});

test.run();
