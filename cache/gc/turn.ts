import { closeSync, openSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import type { Store } from '../../snapshotter/store/root.ts';
import { diskOf } from './collect.ts';

/** A file whose time is that of the last automatic collection. */
const MARK = 'collected';
/**
 * The time between two automatic collections in milliseconds. The shorter one applies while the
 * disk is nearly full.
 */
const USUAL_MS = 3_600_000;
const URGENT_MS = 60_000;
/**
 * A disk with a smaller part free than this is nearly full. It is a little more than the default
 * policy keeps free.
 */
const NEARLY_FULL = 0.25;

/**
 * True if an automatic collection of the store is due, and this process should do it. For a while
 * no other process gets true. Costs a look at one file.
 */
export function takeTurn(store: Pick<Store, 'root'>, now = Date.now()): boolean {
  const mark = join(store.root, MARK);
  const last = statSync(mark, { throwIfNoEntry: false })?.mtimeMs;
  if (last === undefined) {
    closeSync(openSync(mark, 'a', 0o600));
    return false;
  }
  const { free, total } = diskOf(store.root);
  if (now - last < (free < total * NEARLY_FULL ? URGENT_MS : USUAL_MS)) return false;
  utimesSync(mark, now / 1000, now / 1000);
  return true;
}
