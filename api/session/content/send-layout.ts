import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isDigest } from '../../../base/digest.ts';
import type { ClientSession } from '../client-session.ts';
import { writeClientBlob } from './client-store.ts';

/** A message carries so many bytes. */
const CHUNK = 1 << 20;

/**
 * Writes all blobs of the OCI layout at `root`, which nobody changes, into a store of the client.
 * The client makes the index of the store itself.
 */
export async function sendLayout(
  session: ClientSession,
  storeId: string,
  root: string,
  signal: AbortSignal,
): Promise<void> {
  const blobs = join(root, 'blobs/sha256');
  // An output that failed has written nothing.
  if (!existsSync(blobs)) return;
  for (const hex of readdirSync(blobs)) {
    const path = join(blobs, hex);
    const { size } = statSync(path);
    const digest = `sha256:${hex}`;
    if (!isDigest(digest)) continue;
    await writeClientBlob(session, storeId, { digest, size }, () => pieces(path, size), signal);
  }
}

function* pieces(path: string, size: number): Generator<Uint8Array> {
  const fd = openSync(path, 'r');
  try {
    for (let at = 0; at < size; ) {
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK, size - at));
      const length = readSync(fd, buffer);
      if (length === 0) return;
      at += length;
      yield buffer.subarray(0, length);
    }
  } finally {
    closeSync(fd);
  }
}
