import { createHash } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { Code, ConnectError } from '@connectrpc/connect';
import { type Digest, hexOf, isDigest } from '../../../base/digest.ts';
import type { LentDirectory } from '../../../builder/session.ts';
import { INDEX_TYPES, MANIFEST_TYPES, mediaTypeOf } from '../../../registry/parse-document.ts';
import type { Store } from '../../../snapshotter/store/root.ts';
import type { ClientSession } from '../client-session.ts';
import { borrowCopy } from '../filesync/directory-copies.ts';
import { readClientBlob } from './client-store.ts';

/** A document has at most so many bytes. */
const MAX_DOCUMENT = 4 << 20;
/** So many blobs may hang on one document. */
const MAX_BLOBS = 10_000;

interface Entry {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

/**
 * Copies an image or a cache from a store of the client into an OCI layout of ours: the blob
 * `digest` and all that it names. Blobs are kept for the next time. What the store does not have
 * (other platforms of an image, for instance) is left out, except the blob itself. The layout stays
 * as it is until the answer is disposed.
 */
export async function bringLayout(
  session: ClientSession,
  storeId: string,
  digest: Digest,
  store: Pick<Store, 'root' | 'scratchPath'>,
  signal: AbortSignal,
): Promise<LentDirectory & Disposable> {
  const owner = session.sharedKey === '' ? `session ${session.id}` : session.sharedKey;
  const borrowed = borrowCopy(store, [owner, storeId, 'layout']);
  try {
    const { root } = borrowed;
    mkdirSync(join(root, 'blobs/sha256'), { recursive: true, mode: 0o700 });
    const bring = async (wanted: Pick<Entry, 'digest' | 'size'>) =>
      await bringBlob(session, storeId, wanted, blobPath(root, wanted.digest), signal);
    await bring({ digest, size: MAX_DOCUMENT });
    const bytes = readFileSync(blobPath(root, digest));
    const mediaType = mediaTypeOf(bytes, `the blob ${digest} of the client`);
    const pending: Entry[] = [{ mediaType, digest, size: bytes.byteLength }];
    const seen = new Set<Digest>();
    for (let entry = pending.pop(); entry; entry = pending.pop()) {
      if (seen.has(entry.digest)) continue;
      if (seen.add(entry.digest).size > MAX_BLOBS)
        throw new ConnectError(`${digest} names too many blobs`, Code.ResourceExhausted);
      if (!(await unlessMissing(bring(entry)))) continue;
      if ([...INDEX_TYPES, ...MANIFEST_TYPES].includes(entry.mediaType))
        pending.push(...namedBy(readFileSync(blobPath(root, entry.digest))));
    }
    const kept = new Set([...seen].map((digest) => blobPath(root, digest)));
    for (const name of readdirSync(join(root, 'blobs/sha256'))) {
      const path = join(root, 'blobs/sha256', name);
      if (!kept.has(path)) rmSync(path, { force: true });
    }
    const manifests = [{ mediaType, digest, size: bytes.byteLength }];
    writeFileSync(join(root, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    writeFileSync(join(root, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
    return { path: root, remembered: true, [Symbol.dispose]: () => borrowed[Symbol.dispose]() };
  } catch (error) {
    borrowed[Symbol.dispose]();
    throw error;
  }
}

function blobPath(root: string, digest: Digest): string {
  return join(root, 'blobs/sha256', hexOf(digest));
}

async function unlessMissing(brought: Promise<void>): Promise<boolean> {
  try {
    await brought;
    return true;
  } catch (error) {
    if (error instanceof ConnectError && error.code === Code.NotFound) return false;
    throw error;
  }
}

async function bringBlob(
  session: ClientSession,
  storeId: string,
  { digest, size }: Pick<Entry, 'digest' | 'size'>,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  // What a crash has left short is brought again.
  const there = statSync(path, { throwIfNoEntry: false });
  if (there && (there.size === size || size === MAX_DOCUMENT)) return;
  const part = `${path}.part`;
  const fd = openSync(part, 'w', 0o600);
  try {
    const hash = createHash('sha256');
    let length = 0;
    for await (const data of readClientBlob(session, storeId, digest, signal)) {
      length += data.byteLength;
      if (length > size) break;
      hash.update(data);
      writeSync(fd, data);
    }
    if (length > size || hash.digest('hex') !== hexOf(digest))
      throw new ConnectError(`the blob ${digest} of the client is damaged`, Code.DataLoss);
    renameSync(part, path);
  } finally {
    closeSync(fd);
    rmSync(part, { force: true });
  }
}

/** What a manifest or an index names. */
function namedBy(bytes: Buffer): Entry[] {
  const { config, layers = [], manifests = [] } = JSON.parse(bytes.toString());
  return [config, ...layers, ...manifests].filter(
    (entry): entry is Entry =>
      isDigest(entry?.digest) && Number.isSafeInteger(entry.size) && entry.size >= 0,
  );
}
