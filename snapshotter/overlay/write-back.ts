import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readOwn } from '../store/own-file.ts';
import { hasEnded, launch } from '../sys/launch.ts';

/** This file holds a time in milliseconds since 1970. Everything older in the store is on disk. */
const MARK = 'written-back';

/**
 * $1 is the store, $2 the time. The mark is written only after the sync has succeeded, and only if
 * the store still exists. A long log of the index is then written back by Node ($4).
 */
const SCRIPT =
  'cd / && sync -f "$1" && [ -f "$1/VERSION" ] && printf %s "$2" >"$1/$3.$$" && mv ' +
  '"$1/$3.$$" "$1/$3" && [ "$(wc -c <"$1/kiln.db-wal")" -gt "$6" ] && exec "$4" -e "$5"';

/**
 * Processes leave the log behind (`Database.leave`), and each one that starts reads it: 0.5 ms for
 * 1 MB.
 */
const LONG_LOG = 2 << 20;

/** What Node runs to write the log back. The mode makes no file where the index was removed. */
function checkpoint(root: string): string {
  const index = pathToFileURL(join(root, 'kiln.db'));
  index.search = 'mode=rw';
  return `new (require('node:sqlite').DatabaseSync)(new URL(${JSON.stringify(index.href)}))
    .exec('PRAGMA wal_checkpoint(TRUNCATE)')`;
}

/** How often the end of a write-back is looked for, in milliseconds. */
const POLL_MS = 250;

/**
 * Starts to write the store's file system back to disk, and leaves a mark when that is done.
 * Returns at once. The promise settles when it is over. To wait for it keeps no process alive: the
 * write-back goes on without this one.
 */
export function writeBack(root: string): Promise<void> {
  const nothing = openSync('/dev/null', 'r+');
  try {
    const pid = launch({
      path: '/bin/sh',
      args: [
        '-c',
        SCRIPT,
        'kiln-write-back',
        root,
        String(Date.now()),
        MARK,
        process.execPath,
        checkpoint(root),
        String(LONG_LOG),
      ],
      env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'],
      stdio: [nothing, nothing, nothing],
    });
    return ended(pid);
  } catch {
    // Without a shell or sync(1) the layers stay unsettled. That costs only the cache after a
    // reboot.
    return Promise.resolve();
  } finally {
    closeSync(nothing);
  }
}

async function ended(pid: number): Promise<void> {
  do {
    await new Promise<void>((resolve) => setTimeout(resolve, POLL_MS).unref());
  } while (!hasEnded(pid));
}

/** The time of the last mark. It is 0 when there is none. */
export function writtenBack(root: string): number {
  const time = Number(readOwn(join(root, MARK)));
  return Number.isFinite(time) ? time : 0;
}
