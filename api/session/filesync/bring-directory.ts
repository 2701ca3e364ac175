import { mkdirSync, rmSync } from 'node:fs';
import type { LentDirectory } from '../../../builder/session.ts';
import type { Store } from '../../../snapshotter/store/root.ts';
import type { WantedFiles } from '../../../solver/step-session.ts';
import type { ClientSession } from '../client-session.ts';
import { receiveDirectory } from './diff-copy.ts';
import { borrowCopy } from './directory-copies.ts';
import { DirectoryCopy } from './directory-copy.ts';
import { forgetKnownFiles, NO_FILES, readKnownFiles, writeKnownFiles } from './known-files.ts';

/** A copy of a client's directory in the store. It does not change until it is disposed. */
export interface BroughtDirectory extends LentDirectory, Disposable {
  /** Another one whenever anything in the copy has changed. */
  readonly version: string;
  /** Bytes of content that the client sent. */
  readonly received: number;
}

/** Updates the copy of a client's directory: receives the wanted files that have changed. */
export async function bringDirectory(
  session: ClientSession,
  name: string,
  wanted: WantedFiles,
  store: Pick<Store, 'root' | 'scratchPath'>,
  signal: AbortSignal,
): Promise<BroughtDirectory> {
  const borrowed = borrowCopy(session, [name, wanted.purpose], store);
  try {
    const before = readKnownFiles(borrowed.known, store.root);
    if (!before) {
      forgetKnownFiles(borrowed.known);
      empty(borrowed.root);
    }
    const copy = new DirectoryCopy(borrowed.root, before ?? NO_FILES, () =>
      forgetKnownFiles(borrowed.known),
    );
    try {
      await receiveDirectory(session, name, wanted, copy, signal);
    } finally {
      copy.abandon();
    }
    const list = copy.finish();
    if (list) writeKnownFiles(borrowed.known, list);
    return {
      path: borrowed.root,
      remembered: true,
      received: copy.received,
      version: (list ?? before ?? NO_FILES).version,
      [Symbol.dispose]: () => borrowed[Symbol.dispose](),
    };
  } catch (error) {
    borrowed[Symbol.dispose]();
    throw error;
  }
}

function empty(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { mode: 0o700 });
}
