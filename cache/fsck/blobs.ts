import { createHash } from 'node:crypto';
import { closeSync, createReadStream, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { asDigest, type Digest } from '../../base/digest.ts';
import { errnoOf } from '../../base/errors.ts';
import type { Compression } from '../../snapshotter/content.ts';
import { type FormRow, isSoundForm } from '../../snapshotter/store/forms.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { damagedIn, type FsckReport } from './fsck-report.ts';

const PIECE = 1 << 20;

/** Reads every blob, and looks whether the table of forms says the same. Some 600 MB a second. */
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
        what: `the blob ${digest} has other bytes than its name says`,
        repair: 'it was removed',
        blob: digest,
      });
  }
  report.verified.set('blobs', good.size);
  for (const row of soundForms(store)) {
    const { diff_id, digest, size } = row;
    // One that is gone is forgotten when it is next asked for: no fault.
    const there = good.get(digest as Digest);
    if (there === undefined || there === size) continue;
    report.problems.push({
      what: `the index says that the blob ${digest} has ${size} bytes and it has ${there}`,
      repair: 'the index forgot it',
      mend: () => void store.db.run('DELETE FROM forms WHERE diff_id = ? AND digest = ?', diff_id, digest),
    });
  }
}

/** Whether each blob that is known as a form of a layer holds that layer. */
export async function checkForms(store: Store, report: FsckReport, signal: AbortSignal): Promise<void> {
  const { blobs } = damagedIn(report);
  for (const { diff_id, digest, compression } of soundForms(store)) {
    if (blobs.has(digest as Digest)) continue;
    const holds = await tarDigest(join(store.blobs, digest.slice(7)), compression as Compression, signal);
    if (holds === undefined || holds === diff_id) continue;
    report.problems.push({
      what: `the index takes the blob ${digest} for the layer ${diff_id}, and it is another`,
      repair: 'the index forgot it',
      mend: () => void store.db.run('DELETE FROM forms WHERE diff_id = ? AND digest = ?', diff_id, digest),
    });
  }
}

function soundForms(store: Store): FormRow[] {
  return store.db.all<FormRow>('SELECT * FROM forms').filter(isSoundForm);
}

/** What the blob unpacks to; undefined for one that went meanwhile. */
async function tarDigest(path: string, compression: Compression, signal: AbortSignal): Promise<string | undefined> {
  const hash = createHash('sha256');
  const from = createReadStream(path, { highWaterMark: PIECE });
  try {
    if (compression === 'uncompressed') await pipeline(from, hash, { signal });
    else await pipeline(from, compression === 'gzip' ? createGunzip() : createZstdDecompress(), hash, { signal });
  } catch (error) {
    // A stream says only that it was aborted, and the signal says why.
    signal.throwIfAborted();
    return errnoOf(error) === 'ENOENT' ? undefined : 'nothing';
  }
  return `sha256:${hash.digest('hex')}`;
}

/** Undefined for one that went meanwhile. */
function hashFile(path: string, buffer: Buffer, check: () => void): { digest: string; size: number } | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const hash = createHash('sha256');
    let size = 0;
    for (let count = readSync(fd, buffer); count > 0; count = readSync(fd, buffer)) {
      check();
      hash.update(buffer.subarray(0, count));
      size += count;
    }
    return { digest: `sha256:${hash.digest('hex')}`, size };
  } catch (error) {
    // A sector that cannot be read any more, or no file: other bytes, in a way. A signal ends it all.
    if (errnoOf(error) === undefined) throw error;
    return { digest: 'unreadable', size: 0 };
  } finally {
    closeSync(fd);
  }
}
