import { availableParallelism, homedir } from 'node:os';
import { join } from 'node:path';
import { KilnError } from '../base/errors.ts';
import { openRooms, type Rooms } from '../snapshotter/overlay/open.ts';
import { pooledJobs } from '../snapshotter/overlay/pooled-jobs.ts';
import { openStore } from '../snapshotter/store/root.ts';
import { enterPrivateMounts } from '../snapshotter/sys/namespace.ts';
import { createPool, type WorkerPool } from '../snapshotter/workers/pool.ts';

/** The store of this command and the rooms over it. Opening costs a few milliseconds and no thread; closes with its scope. */
export interface Session extends Rooms, AsyncDisposable {
  /** Threads for work on bytes; none is started before it is needed. */
  readonly pool: WorkerPool;
}

/** Opens the store where the environment says it is. */
export function openSession(): Session {
  const store = openStore(storeRoot(process.env, process.getuid?.() ?? 0));
  for (const warning of store.warnings) process.stderr.write(`WARNING: ${warning}\n`);
  const pool = createPool({ entry: workerEntry(), threads: Math.max(2, availableParallelism()), prepare: enterMountsAsRoot });
  const rooms = openRooms(store, pooledJobs(pool));
  return {
    ...rooms,
    pool,
    async [Symbol.asyncDispose]() {
      await pool[Symbol.asyncDispose]();
      await rooms.snapshotter[Symbol.asyncDispose]();
      store.close();
    },
  };
}

/** Beside the bundle, or this source file. */
function workerEntry(): URL {
  if (import.meta.url.endsWith('.ts')) return new URL('./worker.ts', import.meta.url);
  return new URL('./worker.cjs', import.meta.url);
}

/** An ordinary user has nothing mounted, and may not. */
function enterMountsAsRoot(): void {
  if (process.getuid?.() === 0) enterPrivateMounts();
}

/** KILN_ROOT, or /var/lib/kiln for root, or the user's data directory. */
export function storeRoot(env: Readonly<Record<string, string | undefined>>, uid: number): string {
  if (env['KILN_ROOT']) return env['KILN_ROOT'];
  if (uid === 0) return '/var/lib/kiln';
  return join(env['XDG_DATA_HOME'] || join(env['HOME'] || homedir(), '.local/share'), 'kiln');
}

/** Steps and mounts need root for now. */
export function requireRoot(what: string): void {
  if (process.getuid?.() === 0) return;
  throw new KilnError('KILN_NEEDS_ROOT', `${what} needs root: building as an ordinary user is not supported yet`, {
    hint: 'run the same command with sudo',
  });
}
