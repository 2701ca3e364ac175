import { mkdirSync, rmSync } from 'node:fs';
import type { LentDirectory } from '../../../builder/session.ts';
import type { Store } from '../../../snapshotter/store/root.ts';
import type { WantedFiles } from '../../../solver/step-session.ts';
import type { ClientSession } from '../client-session.ts';
import { forgetLooks, looksAt } from './copy-looks.ts';
import { receiveDirectory } from './diff-copy.ts';
import { borrowCopy } from './directory-copies.ts';
import { DirectoryCopy } from './directory-copy.ts';
import {
  FILE_STATE,
  forgetKnownFiles,
  type KnownFiles,
  NO_FILES,
  newVersion,
  readKnownFiles,
  writeKnownFiles,
} from './known-files.ts';
import { MetadataCopy } from './metadata-copy.ts';

/** A copy of a client's directory in the store. It does not change until it is disposed. */
export interface BroughtDirectory extends LentDirectory, Disposable {
  /** A different text whenever anything in the copy has changed. */
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
  if (wanted.exceptMetadata)
    return await bringExcepted(session, name, wanted, wanted.exceptMetadata, store, signal);
  const borrowed = borrowCopy(session, [name, wanted.purpose], store);
  try {
    const before = comparedBy(wanted.differ, readKnownFiles(borrowed.known, store.root));
    if (!before) {
      forgetKnownFiles(borrowed.known);
      empty(borrowed.root);
    }
    const forget = () => forgetKnownFiles(borrowed.known);
    const isTrusted = wanted.differ === 'metadata';
    const copy = new DirectoryCopy(borrowed.root, before ?? NO_FILES, forget, isTrusted);
    try {
      await receiveDirectory(session, name, wanted, copy, signal);
    } finally {
      copy.abandon();
    }
    const list = copy.finish();
    if (list && borrowed.remembered) writeKnownFiles(borrowed.known, list);
    const version = (list ?? before ?? NO_FILES).version;
    const changes = { from: before?.version ?? '', to: version, paths: copy.changed };
    return {
      path: borrowed.root,
      remembered: borrowed.remembered,
      received: copy.received,
      version,
      ...(borrowed.remembered && { looks: looksAt(store, borrowed.root, changes) }),
      [Symbol.dispose]: () => borrowed[Symbol.dispose](),
    };
  } catch (error) {
    forgetLooks(store, borrowed.root);
    borrowed[Symbol.dispose]();
    throw error;
  }
}

/** Which of the files of before need not be asked for, when the caller says how to compare. */
function comparedBy(
  differ: WantedFiles['differ'],
  before: KnownFiles | undefined,
): KnownFiles | undefined {
  if (!before || differ === undefined) return before;
  const { asked, believed } = FILE_STATE;
  const [from, to] = differ === 'none' ? [believed, asked] : [asked, believed];
  return { ...before, states: before.states.map((state) => (state === from ? to : state)) };
}

/** Brings the files that match one of the patterns, and what the client tells of all. */
async function bringExcepted(
  session: ClientSession,
  name: string,
  wanted: WantedFiles,
  patterns: readonly string[],
  store: Pick<Store, 'root' | 'scratchPath'>,
  signal: AbortSignal,
): Promise<BroughtDirectory> {
  const borrowed = borrowCopy(session, [name, wanted.purpose, 'metadata'], store);
  try {
    empty(borrowed.root);
    const copy = new DirectoryCopy(borrowed.root, NO_FILES, () => {});
    try {
      const told = new MetadataCopy(copy, patterns);
      await receiveDirectory(session, name, wanted, told, signal);
      told.finish(borrowed.root);
    } finally {
      copy.abandon();
    }
    return {
      path: borrowed.root,
      remembered: false,
      received: copy.received,
      version: newVersion(),
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
