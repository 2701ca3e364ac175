import { setTimeout as pause } from 'node:timers/promises';
import { KilnError } from '../../base/errors.ts';
import type { Database } from './database.ts';

/** Pages given back in one transaction, of 4 KiB: 2 ms on a small virtual machine. */
const STEP = 256;
/** Between two steps: who waits for the lock looks again every few milliseconds. */
const PAUSE_MS = 10;
/** A file with fewer free pages is left as it is: they will be needed again. */
const WORTH = 64;
/**
 * Of a file that cannot be shrunk step by step, this much may be written anew at once, in pages:
 * others wait for that.
 */
const AT_ONCE = 4096;

const INCREMENTAL = 2;

/** Another collection will come. */
const CAN_WAIT: ReadonlySet<string> = new Set(['KILN_STORE_BUSY', 'KILN_DISK_FULL']);

interface Pages {
  readonly all: number;
  readonly free: number;
}

/**
 * Gives the free pages of the index back to the disk when they are more than half of it: after a
 * collection. Nobody has to be kept out, since it is done in small transactions; a file of before
 * there was `auto_vacuum` in it is written anew when it is small. Answers how many pages went.
 */
export async function giveBackPages(db: Database, signal: AbortSignal): Promise<number> {
  const { all, free } = pagesOf(db);
  if (free < WORTH || free * 2 <= all) return 0;
  try {
    if (db.pragma('auto_vacuum') === INCREMENTAL) await stepByStep(db, signal);
    else if (all - free <= AT_ONCE) {
      db.exec(`PRAGMA auto_vacuum=${INCREMENTAL}`);
      db.exec('VACUUM');
    }
  } catch (error) {
    if (!(error instanceof KilnError && CAN_WAIT.has(error.code))) throw error;
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
