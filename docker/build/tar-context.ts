import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { KilnError } from '../../base/errors.ts';
import { unpackStream } from '../../builder/context/archive.ts';
import { FreeSpace } from '../http/free-space.ts';

/**
 * Unpacks the archive that a client sends into the new directory `into`, while it comes. The bytes
 * that come, and those that they unpack to, are limited: to `most`, or to the space that is free.
 * Throws KILN_CONTEXT_INVALID, KILN_REQUEST_TOO_LARGE and KILN_ARCHIVE_*.
 */
export async function unpackContext(
  body: Readable,
  into: string,
  signal: AbortSignal,
  most?: number,
): Promise<void> {
  mkdirSync(into, { mode: 0o700 });
  const space = () => new FreeSpace(dirname(into), 'the build context that the client sends', most);
  const unpacked = space();
  const count = await unpackStream(
    space().of(body),
    into,
    'that the client sent',
    signal,
    (bytes) => unpacked.take(bytes),
  );
  if (count === 0)
    throw new KilnError('KILN_CONTEXT_INVALID', 'the request is not a tar archive', {
      hint: 'send the build context as a tar archive',
      exitCode: 2,
    });
}
