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
 * For a secret whose bytes count: what stands for them in keys. It tells nothing of them without a
 * random number of this store.
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
 * Made with the first secret that is to count: who has the records of a store, but not this file,
 * cannot try values against them.
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
 * A directory in memory that only this process's mount namespace has: its files never touch a disk
 * and die with the process.
 */
export function secretDirectory(store: Store): Disposable & { readonly path: string } {
  requireMounts('secrets are kept in a file system in memory');
  const path = store.scratchPath('secret');
  mkdirSync(path, { mode: 0o700 });
  mount('tmpfs', path, 'tmpfs', MS.NOSUID | MS.NODEV, 'mode=0700,size=1m');
  return { path, [Symbol.dispose]: () => unmount(path) };
}
