import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import type { KilnError } from '../base/errors.ts';
import { MEDIA } from '../base/oci.ts';
import { never, quickClient } from './testing/client.ts';
import { type Answer, faultServer } from './testing/faults.ts';

const BLOB = randomBytes(500_000);
const LAYER = { mediaType: MEDIA.ociLayerGzip, digest: digestOf(BLOB), size: BLOB.length };

/** The bytes of a stream from a server with these answers, or the code of its failure. */
async function streamed(answer: Answer, start?: number, end?: number) {
  await using server = await faultServer(answer);
  await using client = quickClient();
  const chunks: Uint8Array[] = [];
  try {
    const repository = { domain: server.host, path: 'team/app' };
    for await (const chunk of client.openBlob(repository, LAYER, never(), start, end))
      chunks.push(chunk);
    return {
      bytes: Buffer.concat(chunks),
      ranges: server.seen.map(({ headers }) => headers.range),
    };
  } catch (error) {
    return { code: (error as KilnError).code };
  }
}

/** Serves ranges, and breaks each answer after `most` bytes. */
const breaking =
  (most: number): Answer =>
  (request, response) => {
    const [, from = 0, to = BLOB.length - 1] = (
      /bytes=(\d+)-(\d+)/.exec(String(request.headers.range)) ?? []
    ).map(Number);
    const range = {
      'content-length': to + 1 - from,
      'content-range': `bytes ${from}-${to}/${BLOB.length}`,
    };
    response.writeHead(
      request.headers.range ? 206 : 200,
      request.headers.range ? range : { 'content-length': BLOB.length },
    );
    const piece = BLOB.subarray(from, Math.min(to + 1, from + most));
    if (piece.length === to + 1 - from) response.end(piece);
    else response.write(piece, () => response.destroy());
  };

test('a broken stream is resumed where it broke', async () => {
  const { bytes, ranges } = await streamed(breaking(200_000));
  assert.ok(bytes?.equals(BLOB));
  assert.is(ranges?.[0], undefined);
  assert.ok(
    ranges?.slice(1).every((range) => /^bytes=[1-9]\d*-499999$/.test(range ?? '')),
    String(ranges),
  );
});

test('a part is requested by range, or cut out of the whole without support for it', async () => {
  const part = BLOB.subarray(1000, 300_000);
  const ranged = await streamed(breaking(BLOB.length), 1000, 300_000);
  assert.equal(ranged.ranges, ['bytes=1000-299999']);
  assert.ok(ranged.bytes?.equals(part));
  const whole = await streamed((_, response) => void response.end(BLOB), 1000, 300_000);
  assert.ok(whole.bytes?.equals(part));
});

test('a wrong size, a wrong range and a stream without progress are errors', async () => {
  const longer = Buffer.concat([BLOB, Buffer.alloc(1)]);
  assert.is(
    (await streamed((_, response) => void response.end(longer))).code,
    'KILN_DIGEST_MISMATCH',
  );
  const other = { 'content-range': `bytes 0-499999/${BLOB.length}` };
  assert.is(
    (await streamed((_, response) => void response.writeHead(206, other).end(BLOB), 1, 9)).code,
    'KILN_REGISTRY_ERROR',
  );
  assert.is((await streamed(breaking(0))).code, 'KILN_REGISTRY_UNREACHABLE');
  assert.is(
    (await streamed((_, response) => void response.writeHead(404).end())).code,
    'KILN_BLOB_NOT_FOUND',
  );
});

test.run();
