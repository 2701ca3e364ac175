import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, writeSync } from 'node:fs';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { asDigest, type Digest } from '../../../base/digest.ts';
import { errnoOf, KilnError, messageOf } from '../../../base/errors.ts';
import { withoutLogin } from '../../../registry/fetch.ts';
import { type HttpResponse, header } from '../../../registry/transport.ts';
import { Expansion } from '../../../snapshotter/layer/expansion.ts';
import type { Snapshot, Snapshotter } from '../../../snapshotter/snapshotter.ts';
import { openRoot } from '../../../snapshotter/sys/rooted.ts';
import { applyToFd } from '../file/attributes.ts';
import type { HttpSource } from './http-source.ts';

export interface Received {
  readonly digest: Digest;
  readonly snapshot: Snapshot;
}

/** Called with the number of bytes so far and the total (0 if the server does not give it). */
export type OnBytes = (current: number, total: number) => void;

/**
 * Writes the body of a response to the only file of a new layer. The digest is checked before the
 * layer is committed. Rejects with KILN_HTTP_CHECKSUM or KILN_HTTP_BODY.
 */
export async function receive(
  response: HttpResponse,
  source: HttpSource,
  name: string,
  snapshotter: Snapshotter,
  onBytes: OnBytes,
): Promise<Received> {
  await using active = await snapshotter.prepare({ layers: [] });
  using root = openRoot(active.root);
  const fd = root.create(name, 0o600);
  let digest: Digest;
  try {
    digest = await writeBody(response, fd, onBytes);
    checkDigest(source, digest);
    applyToFd(fd, {
      uid: source.uid,
      gid: source.gid,
      mode: source.mode,
      mtime: modified(response),
      xattrs: undefined,
    });
  } finally {
    closeSync(fd);
  }
  return { digest, snapshot: await active.commit() };
}

async function writeBody(response: HttpResponse, fd: number, onBytes: OnBytes): Promise<Digest> {
  const compressed = header(response, 'content-encoding') !== undefined;
  const total = compressed ? 0 : Number(header(response, 'content-length') ?? 0);
  const hash = createHash('sha256');
  let current = 0;
  ftruncateSync(fd, 0);
  for await (const bytes of decoded(response)) {
    hash.update(bytes);
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    current += bytes.length;
    onBytes(current, total);
  }
  onBytes(current, current);
  return asDigest(`sha256:${hash.digest('hex')}`);
}

/**
 * The decompressed body. A server may compress a file for the transfer. As with Docker, the file
 * itself counts.
 */
async function* decoded(response: HttpResponse): AsyncIterable<Buffer> {
  const { body } = response;
  if (header(response, 'content-encoding')?.toLowerCase() !== 'gzip') return yield* body;
  const expansion = new Expansion(`the response of ${withoutLogin(response.url)}`);
  try {
    yield* expansion.of(
      body,
      (packed) => Readable.from(packed).compose(createGunzip()) as AsyncIterable<Buffer>,
    );
  } catch (error) {
    if (!errnoOf(error)?.startsWith('Z_')) throw error;
    const hint = 'try again; if it fails again, the server is at fault';
    throw new KilnError(
      'KILN_HTTP_BODY',
      `${withoutLogin(response.url)}: the response cannot be decompressed: ${messageOf(error)}`,
      {
        hint,
        cause: error,
      },
    );
  }
}

function checkDigest({ checksum, url }: HttpSource, got: Digest): void {
  if (checksum === undefined || checksum === got) return;
  throw new KilnError(
    'KILN_HTTP_CHECKSUM',
    `${withoutLogin(url)} has the digest ${got}, expected ${checksum}`,
    {
      hint: 'if the file was changed on purpose, update its digest; otherwise do not trust it',
    },
  );
}

/**
 * The time of the file, from the Last-Modified header. Without one it is 1970, so that equal bytes
 * give equal layers.
 */
function modified(response: HttpResponse): { sec: number; nsec: number } {
  const ms = Date.parse(header(response, 'last-modified') ?? '');
  return { sec: Number.isNaN(ms) ? 0 : Math.floor(ms / 1000), nsec: 0 };
}
