import { KnownLooks } from '../../../cache/select/known-looks.ts';
import type { Store } from '../../../snapshotter/store/root.ts';

/** So many copies are known at once. */
const MAX_COPIES = 4;

interface Known {
  /** That of the copy of which `looks` tell. */
  readonly version: string;
  readonly looks: KnownLooks;
}

const known = new WeakMap<Pick<Store, 'root'>, Map<string, Known>>();

/** What a build has changed in a copy. */
export interface CopyChanges {
  /** The version of the copy before, and the one after it. */
  readonly from: string;
  readonly to: string;
  /** The paths at which something may have changed. Undefined when that is not known. */
  readonly paths: ReadonlySet<string> | undefined;
}

/**
 * What is known of the files of a copy in the store, when a build holds it. A server has copies of
 * the same directories in every build, and nobody else writes to them. What is known belongs to one
 * version of the copy: another process that changes the copy gives it another version, which is
 * never one that there was before.
 */
export function looksAt(
  store: Pick<Store, 'root'>,
  root: string,
  { from, to, paths }: CopyChanges,
): KnownLooks {
  const copies = known.get(store) ?? new Map<string, Known>();
  known.set(store, copies);
  const before = copies.get(root);
  copies.delete(root);
  const isKept = before?.version === from && (from === to || paths !== undefined);
  const looks = isKept ? before.looks : new KnownLooks();
  if (isKept && paths) for (const path of paths) looks.forget(path);
  // The last one that was used is the last one to go.
  copies.set(root, { version: to, looks });
  for (const oldest of copies.keys()) {
    if (copies.size <= MAX_COPIES) break;
    copies.delete(oldest);
  }
  return looks;
}

/** To be called when a copy may have changed in a way that is not known. */
export function forgetLooks(store: Pick<Store, 'root'>, root: string): void {
  known.get(store)?.delete(root);
}
