import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../../base/errors.ts';
import { launch } from '../sys/launch.ts';

/** This file holds a time in milliseconds since 1970. Everything older in the store is on disk. */
const MARK = 'written-back';

/**
 * $1 is the store, $2 the time. The mark is written only after the sync has succeeded, and only if
 * the store still exists.
 */
const SCRIPT =
  'cd / && sync -f "$1" && [ -f "$1/VERSION" ] && printf %s "$2" >"$1/$3.$$" && mv ' +
  '"$1/$3.$$" "$1/$3"';

/**
 * Starts to write the store's file system back to disk, and leaves a mark when that is done.
 * Returns at once; nothing waits for it.
 */
export function writeBackLater(root: string): void {
  const nothing = openSync('/dev/null', 'r+');
  try {
    launch({
      path: '/bin/sh',
      args: ['-c', SCRIPT, 'kiln-write-back', root, String(Date.now()), MARK],
      env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'],
      stdio: [nothing, nothing, nothing],
    });
  } catch {
    // Without a shell or sync(1) the layers stay unsettled. That costs only the cache after a
    // reboot.
  } finally {
    closeSync(nothing);
  }
}

/** The time of the last mark. It is 0 when there is none. */
export function writtenBack(root: string): number {
  try {
    const time = Number(readFileSync(join(root, MARK), 'utf8'));
    return Number.isFinite(time) ? time : 0;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 0;
    throw error;
  }
}
