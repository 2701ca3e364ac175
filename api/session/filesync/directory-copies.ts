import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { digestOfParts, hexOf } from '../../../base/digest.ts';
import { tryLockFile } from '../../../snapshotter/overlay/filelock.ts';
import type { Store } from '../../../snapshotter/store/root.ts';
import { removeTreeSoon } from '../../../snapshotter/sys/removal.ts';
import type { ClientSession } from '../client-session.ts';

/** A copy of a client's directory, held until it is disposed. */
export interface BorrowedCopy extends Disposable {
  /** The directory of the copy. */
  readonly root: string;
  /** The path of its list of files. */
  readonly known: string;
  /** True when the next build may find the copy again. */
  readonly remembered: boolean;
}

/** How many copies of one directory are kept. More builds at once get temporary copies. */
const MAX_KEPT = 8;

/**
 * # Copies of the directories of clients
 *
 * The files that a client lends are kept in the store between its builds, so that only changed ones
 * are requested. A client that tells no shared key cannot be known again, so its copies go with the
 * build. HASH is made of the shared key of the client and of `name`, which says what the copy is
 * of. A build holds its copy: another build of the same directory at the same time gets another
 * one.
 *
 *     mirrors/HASH/N/       the files
 *     mirrors/HASH/N.known  the list of them that the client told (known-files.ts)
 *     mirrors/HASH/N.lock
 */
export function borrowCopy(
  { sharedKey }: Pick<ClientSession, 'sharedKey'>,
  name: readonly string[],
  store: Pick<Store, 'root' | 'scratchPath'>,
): BorrowedCopy {
  if (sharedKey === '') return temporaryCopy(store);
  const hash = hexOf(digestOfParts([sharedKey, ...name])).slice(0, 32);
  const directory = join(store.root, 'mirrors', hash);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  for (let number = 0; number < MAX_KEPT; number++) {
    const lock = tryLockFile(join(directory, `${number}.lock`), 'exclusive');
    if (!lock) continue;
    const root = join(directory, String(number));
    mkdirSync(root, { recursive: true, mode: 0o700 });
    const known = `${root}.known`;
    return { root, known, remembered: true, [Symbol.dispose]: () => lock[Symbol.dispose]() };
  }
  return temporaryCopy(store);
}

function temporaryCopy(store: Pick<Store, 'scratchPath'>): BorrowedCopy {
  const root = store.scratchPath('mirror');
  mkdirSync(root, { mode: 0o700 });
  return {
    root,
    known: `${root}.known`,
    remembered: false,
    [Symbol.dispose]() {
      void removeTreeSoon(root, { unmounted: true });
      rmSync(`${root}.known`, { force: true });
    },
  };
}
