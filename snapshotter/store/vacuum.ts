import { setTimeout as pause } from 'node:timers/promises';
import { KilnError } from '../../base/errors.ts';
import type { Database } from './database.ts';

/** The pages of 4 KiB that one transaction gives back: 2 ms on a small virtual machine. */
const STEP = 256;
/**
 * The pause between two steps. A process that waits for the lock looks again every few
 * milliseconds.
 */
const PAUSE_MS = 10;
/** A file with fewer free pages is not shrunk: it will need them again. */
const MIN_FREE_PAGES = 64;
/**
 * A file that cannot be shrunk step by step is written again at once if it has at most this many
 * pages, because other processes wait for that.
 */
const AT_ONCE = 4096;

const INCREMENTAL = 2;

/** With these errors the work is left to a later collection. */
const RETRIED_LATER: ReadonlySet<string> = new Set(['KILN_STORE_BUSY', 'KILN_DISK_FULL']);

interface Pages {
  readonly all: number;
  readonly free: number;
}

/**
 * Gives the free pages of the index back to the disk after a collection, when they are more than
 * half of it. Other processes can go on, because the transactions are small. A file that was made
 * before Kiln set `auto_vacuum` is written again when it is small. Returns how many pages were
 * given back.
 */
export async function giveBackPages(db: Database, signal: AbortSignal): Promise<number> {
  const { all, free } = pagesOf(db);
  if (free < MIN_FREE_PAGES || free * 2 <= all) return 0;
  try {
    if (db.pragma('auto_vacuum') === INCREMENTAL) await stepByStep(db, signal);
    else if (all - free <= AT_ONCE) {
      db.exec(`PRAGMA auto_vacuum=${INCREMENTAL}`);
      db.exec('VACUUM');
    }
  } catch (error) {
    if (!(error instanceof KilnError && RETRIED_LATER.has(error.code))) throw error;
  }
  return all - pagesOf(db).all;
}

async function stepByStep(db: Database, signal: AbortSignal): Promise<void> {
  for (let { free } = pagesOf(db); free > 0 && !signal.aborted; ) {
    db.exec(`PRAGMA incremental_vacuum(${STEP})`);
    const left = pagesOf(db).free;
    if (left >= free) return;
    free = left;
    await pause(PAUSE_MS);
  }
}

function pagesOf(db: Database): Pages {
  return { all: db.pragma('page_count'), free: db.pragma('freelist_count') };
}
