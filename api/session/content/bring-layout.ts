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
import { BLOB_FILE, type LentDirectory } from '../../../builder/session.ts';
import { INDEX_TYPES, MANIFEST_TYPES, mediaTypeOf } from '../../../registry/parse-document.ts';
import type { Store } from '../../../snapshotter/store/root.ts';
import { isMissing } from '../client-error.ts';
import type { ClientSession } from '../client-session.ts';
import { type BorrowedCopy, borrowCopy } from '../filesync/directory-copies.ts';
import { readClientBlob } from './client-store.ts';

/** The maximum size of a manifest or an index, in bytes. */
const MAX_DOCUMENT = 4 << 20;
/** The maximum size of a blob that is a source by itself, in bytes. */
const MAX_BLOB = 64 * 2 ** 30;
/** The maximum number of blobs of one layout. */
const MAX_BLOBS = 10_000;

interface Entry {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

/**
 * Copies an image or a cache from a store of the client into an OCI layout of ours: the blob
 * `digest`, and all blobs that it names, directly or through others. Blobs are kept for the next
 * build. A named blob that the store lacks, such as of another platform, is left out. The layout
 * does not change until the result is disposed. Throws a ConnectError.
 */
export async function bringLayout(
  session: ClientSession,
  storeId: string,
  digest: Digest,
  store: Pick<Store, 'root' | 'scratchPath'>,
  signal: AbortSignal,
): Promise<LentDirectory & Disposable> {
  return await filled(borrowCopy(session, [storeId, 'layout'], store), async (root) => {
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
      const isDocument = [...INDEX_TYPES, ...MANIFEST_TYPES].includes(entry.mediaType);
      if (isDocument && entry.size > MAX_DOCUMENT)
        throw new ConnectError(`the document ${entry.digest} is too large`, Code.ResourceExhausted);
      if (seen.add(entry.digest).size > MAX_BLOBS)
        throw new ConnectError(`${digest} names too many blobs`, Code.ResourceExhausted);
      try {
        await bring(entry);
      } catch (error) {
        if (isMissing(error)) continue;
        throw error;
      }
      if (isDocument) pending.push(...namedBy(readFileSync(blobPath(root, entry.digest))));
    }
    const kept = new Set([...seen].map((digest) => blobPath(root, digest)));
    for (const name of readdirSync(join(root, 'blobs/sha256'))) {
      const path = join(root, 'blobs/sha256', name);
      if (!kept.has(path)) rmSync(path, { force: true });
    }
    const manifests = [{ mediaType, digest, size: bytes.byteLength }];
    writeFileSync(join(root, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    writeFileSync(join(root, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  });
}

/** Copies one blob from a store of the client into a directory, as BLOB_FILE. */
export async function bringOneBlob(
  session: ClientSession,
  storeId: string,
  digest: Digest,
  store: Pick<Store, 'root' | 'scratchPath'>,
  signal: AbortSignal,
): Promise<LentDirectory & Disposable> {
  return await filled(borrowCopy(session, [storeId, digest], store), (root) =>
    bringBlob(session, storeId, { digest, size: MAX_BLOB }, join(root, BLOB_FILE), signal),
  );
}

/** Lends a copy when `fill` has made it whole. It is given back when that fails. */
async function filled(
  borrowed: BorrowedCopy,
  fill: (root: string) => Promise<void>,
): Promise<LentDirectory & Disposable> {
  const { root: path, remembered } = borrowed;
  try {
    await fill(path);
  } catch (error) {
    borrowed[Symbol.dispose]();
    throw error;
  }
  return { path, remembered, [Symbol.dispose]: () => borrowed[Symbol.dispose]() };
}

function blobPath(root: string, digest: Digest): string {
  return join(root, 'blobs/sha256', hexOf(digest));
}

async function bringBlob(
  session: ClientSession,
  storeId: string,
  { digest, size }: Pick<Entry, 'digest' | 'size'>,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  // A crash may have left a file that is too short.
  const there = statSync(path, { throwIfNoEntry: false });
  // A blob of unknown size gets its name only when it is whole.
  if (there && (there.size === size || size === MAX_DOCUMENT || size === MAX_BLOB)) return;
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

/** The fields of a document. Throws a ConnectError when it is not an object of JSON. */
function parsed(bytes: Buffer): Readonly<Record<string, Entry | readonly Entry[] | undefined>> {
  try {
    const document: unknown = JSON.parse(bytes.toString());
    if (typeof document === 'object' && document !== null) return { ...document };
  } catch {
    // Told below.
  }
  throw new ConnectError('a document of the client is not JSON', Code.DataLoss);
}

/** The blobs that a manifest or an index names. */
function namedBy(bytes: Buffer): Entry[] {
  const { config, layers, manifests } = parsed(bytes);
  return [config, layers, manifests]
    .flat()
    .filter(
      (entry): entry is Entry =>
        isDigest(entry?.digest ?? '') && Number.isSafeInteger(entry?.size) && entry!.size >= 0,
    );
}
