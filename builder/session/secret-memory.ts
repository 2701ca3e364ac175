import { createHmac, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../../base/errors.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { MS } from '../../snapshotter/sys/constants.ts';
import { mount, unmount } from '../../snapshotter/sys/mount.ts';
import { requireMounts } from '../../snapshotter/sys/namespace.ts';
import type { Session } from '../session.ts';

/**
 * Makes the function that gives the part of a step's key for a secret. For a secret of `inKeys` it
 * returns a keyed hash of the bytes, or `none` when the session does not have the secret. For any
 * other secret it returns undefined. The hash reveals nothing to somebody who does not have the
 * random key of this store.
 */
export function secretMarks(
  session: Pick<Session, 'secret'>,
  inKeys: readonly string[],
  store: Store,
): (id: string) => Promise<string | undefined> {
  return async (id) => {
    if (!inKeys.includes(id)) return undefined;
    const bytes = await session.secret(id);
    return bytes ? createHmac('sha256', markKey(store)).update(bytes).digest('hex') : 'none';
  };
}

/**
 * Returns the random key of those hashes, 32 bytes. It is created with the first secret that is
 * part of a key. It has a file of its own, so that somebody who gets the records of the store
 * cannot test guessed secrets against them.
 */
function markKey(store: Store): Buffer {
  const path = join(store.root, 'secret-marks');
  try {
    writeFileSync(path, randomBytes(32), { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
  return readFileSync(path);
}

/**
 * Mounts a directory in memory for secrets, which only this process's mount namespace has. Its
 * files never reach a disk, and disposing it or ending the process removes them. Throws
 * KILN_NO_PRIVILEGE when this process may not mount.
 */
export function secretDirectory(store: Store): Disposable & { readonly path: string } {
  requireMounts('secrets are kept in a file system in memory');
  const path = store.scratchPath('secret');
  mkdirSync(path, { mode: 0o700 });
  mount('tmpfs', path, 'tmpfs', MS.NOSUID | MS.NODEV, 'mode=0700,size=1m');
  return { path, [Symbol.dispose]: () => unmount(path) };
}
