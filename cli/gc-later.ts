import { spawn } from 'node:child_process';
import { closeSync, openSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { diskOf } from '../cache/gc/collect.ts';
import type { Store } from '../snapshotter/store/root.ts';

/** A file whose time is that of the last automatic collection. */
const MARK = 'collected';
/**
 * A collection this often, and on a disk that gets full as often as the shorter time says.
 * Milliseconds.
 */
const USUAL_MS = 3_600_000;
const URGENT_MS = 60_000;
/** What counts as getting full: a little more than the default policy keeps free. */
const SCARCE = 0.25;

/**
 * Has the store collected by its policies when it is time for that: by a process of its own, which
 * nobody waits for. Called after builds that made something; costs a look at one file.
 */
export function collectLater(store: Store, now = Date.now()): void {
  const mark = join(store.root, MARK);
  const last = statSync(mark, { throwIfNoEntry: false })?.mtimeMs;
  if (last === undefined) return closeSync(openSync(mark, 'a', 0o600));
  const { free, total } = diskOf(store.root);
  if (now - last < (free < total * SCARCE ? URGENT_MS : USUAL_MS)) return;
  utimesSync(mark, now / 1000, now / 1000);
  const child = spawn(
    process.execPath,
    [process.argv[1] ?? '', 'prune', '--auto', '--root', store.root],
    {
      detached: true,
      stdio: 'ignore',
      cwd: '/',
    },
  );
  // The next build tries again.
  child.on('error', () => {});
  child.unref();
}
