import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { digestOfParts, hexOf } from '../../../base/digest.ts';
import { tryLockFile } from '../../../snapshotter/overlay/filelock.ts';
import type { Store } from '../../../snapshotter/store/root.ts';

/** A copy of a client's directory, held until it is disposed. */
export interface BorrowedCopy extends Disposable {
  /** The directory of the copy. */
  readonly root: string;
  /** The place of its list of files. */
  readonly known: string;
}

/** So many builds of one directory have copies that later builds begin with. */
const MAX_KEPT = 8;

/**
 * # Copies of the directories of clients
 *
 * What a client lends is kept in the store between its builds, so that only what changed is asked
 * for. A copy is named by what the client says of itself and the directory. A build holds its copy:
 * another build of the same directory at the same time gets one of its own.
 *
 *     mirrors/HASH/N/      the files
 *     mirrors/HASH/N.json  what the client told of them
 *     mirrors/HASH/N.lock
 */
export function borrowCopy(
  store: Pick<Store, 'root' | 'scratchPath'>,
  key: readonly string[],
): BorrowedCopy {
  const directory = join(store.root, 'mirrors', hexOf(digestOfParts([...key])).slice(0, 32));
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  for (let number = 0; number < MAX_KEPT; number++) {
    const lock = tryLockFile(join(directory, `${number}.lock`), 'exclusive');
    if (!lock) continue;
    const root = join(directory, String(number));
    mkdirSync(root, { recursive: true, mode: 0o700 });
    return { root, known: `${root}.json`, [Symbol.dispose]: () => lock[Symbol.dispose]() };
  }
  const root = store.scratchPath('mirror');
  mkdirSync(root, { mode: 0o700 });
  return {
    root,
    known: `${root}.json`,
    [Symbol.dispose]() {
      rmSync(root, { recursive: true, force: true });
      rmSync(`${root}.json`, { force: true });
    },
  };
}
