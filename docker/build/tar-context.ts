import { mkdirSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { KilnError } from '../../base/errors.ts';
import { unpackStream } from '../../builder/context/archive.ts';

/** So much of the disk stays free, whatever a client sends. */
const RESERVED = 1 << 30;

/**
 * Unpacks the archive that a client sends into the new directory `into`, while it comes. The bytes
 * that come are limited: to `limit`, or to the space that is free. Throws KILN_CONTEXT_INVALID and
 * KILN_ARCHIVE_*.
 */
export async function unpackContext(
  body: Readable,
  into: string,
  signal: AbortSignal,
  limit = spaceFor(dirname(into)),
): Promise<void> {
  mkdirSync(into, { mode: 0o700 });
  if ((await unpackStream(limited(body, limit), into, 'that the client sent', signal)) === 0)
    throw new KilnError('KILN_CONTEXT_INVALID', 'the request is not a tar archive', {
      hint: 'send the build context as a tar archive',
      exitCode: 2,
    });
}

/** How many bytes a context may have on the disk of a directory. */
function spaceFor(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return Math.max(0, bavail * bsize - RESERVED);
}

async function* limited(body: Readable, limit: number): AsyncGenerator<Buffer> {
  let size = 0;
  for await (const piece of body as AsyncIterable<Buffer>) {
    size += piece.byteLength;
    if (size > limit)
      throw new KilnError(
        'KILN_CONTEXT_INVALID',
        'the build context that the client sends needs more space than is free',
        { hint: 'send less, or make room on the disk of the store' },
      );
    yield piece;
  }
}
