import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  createReadStream,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { asDigest, type Digest } from '../../base/digest.ts';
import { errnoOf } from '../../base/errors.ts';
import type { Compression } from '../../snapshotter/content.ts';
import { type FormRow, isSoundForm } from '../../snapshotter/store/forms.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { damagedIn, type FsckReport } from './fsck-report.ts';
import { sameFile } from './same-file.ts';

const PIECE = 1 << 20;

/** Reads every blob and compares it with the table of forms. About 600 MB a second. */
export function checkBlobs(store: Store, report: FsckReport, check: () => void): void {
  const good = new Map<Digest, number>();
  const buffer = Buffer.allocUnsafeSlow(PIECE);
  for (const name of readdirSync(store.blobs)) {
    if (!/^[0-9a-f]{64}$/.test(name)) continue;
    const digest = asDigest(`sha256:${name}`);
    const read = hashFile(join(store.blobs, name), buffer, check);
    if (!read) continue;
    if (read.digest === digest) good.set(digest, read.size);
    else
      report.problems.push({
        what: `the blob ${digest} does not match its name`,
        repair: 'it was removed',
        blob: digest,
        still: sameFile(join(store.blobs, name), read.inode),
      });
  }
  report.verified.set('blobs', good.size);
  for (const row of soundForms(store)) {
    const { diff_id, digest, size } = row;
    // A row whose blob no longer exists is not a fault: it is removed when the blob is next looked
    // up.
    const there = good.get(digest as Digest);
    if (there === undefined || there === size) continue;
    report.problems.push({
      what: `the index says that the blob ${digest} has ${size} bytes, but it has ${there}`,
      repair: 'it was removed from the index',
      mend: () =>
        void store.db.run('DELETE FROM forms WHERE diff_id = ? AND digest = ?', diff_id, digest),
    });
  }
}

/** Checks that each blob recorded as a form of a layer unpacks to that layer. */
export async function checkForms(
  store: Store,
  report: FsckReport,
  signal: AbortSignal,
): Promise<void> {
  const { blobs } = damagedIn(report);
  for (const { diff_id, digest, compression } of soundForms(store)) {
    if (blobs.has(digest as Digest)) continue;
    const holds = await tarDigest(
      join(store.blobs, digest.slice(7)),
      compression as Compression,
      signal,
    );
    if (holds === undefined || holds === diff_id) continue;
    report.problems.push({
      what:
        `the index says that the blob ${digest} holds the layer ${diff_id}, ` +
        'but it holds another',
      repair: 'it was removed from the index',
      mend: () =>
        void store.db.run('DELETE FROM forms WHERE diff_id = ? AND digest = ?', diff_id, digest),
    });
  }
}

interface HashedFile {
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  /** Undefined when it could not be opened. */
  readonly inode: number | undefined;
}

function soundForms(store: Store): FormRow[] {
  return store.db.all<FormRow>('SELECT * FROM forms').filter(isSoundForm);
}

/** The digest of the unpacked blob. Undefined when the blob was removed meanwhile. */
async function tarDigest(
  path: string,
  compression: Compression,
  signal: AbortSignal,
): Promise<string | undefined> {
  const hash = createHash('sha256');
  const from = createReadStream(path, { highWaterMark: PIECE });
  try {
    if (compression === 'uncompressed') await pipeline(from, hash, { signal });
    else
      await pipeline(from, compression === 'gzip' ? createGunzip() : createZstdDecompress(), hash, {
        signal,
      });
  } catch (error) {
    // The stream's error only says that it was aborted. The signal has the reason.
    signal.throwIfAborted();
    return errnoOf(error) === 'ENOENT' ? undefined : 'nothing';
  }
  return `sha256:${hash.digest('hex')}`;
}

/** Undefined when the blob was removed meanwhile. */
function hashFile(path: string, buffer: Buffer, check: () => void): HashedFile | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    return { digest: 'unreadable', size: 0, inode: undefined };
  }
  const inode = fstatSync(fd).ino;
  try {
    const hash = createHash('sha256');
    let size = 0;
    for (let count = readSync(fd, buffer); count > 0; count = readSync(fd, buffer)) {
      check();
      hash.update(buffer.subarray(0, count));
      size += count;
    }
    return { digest: `sha256:${hash.digest('hex')}`, size, inode };
  } catch (error) {
    // An unreadable sector, or something that is not a file, counts as a blob with wrong bytes. An
    // abort ends the check.
    if (errnoOf(error) === undefined) throw error;
    return { digest: 'unreadable', size: 0, inode };
  } finally {
    closeSync(fd);
  }
}
