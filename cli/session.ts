import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { openRooms, type Rooms } from '../snapshotter/overlay/open.ts';
import { pooledJobs } from '../snapshotter/overlay/pooled-jobs.ts';
import { openStore } from '../snapshotter/store/root.ts';
import { mayMount } from '../snapshotter/sys/namespace.ts';
import { createPool, type WorkerPool } from '../snapshotter/workers/pool.ts';
import { dataDirectory, isWritable } from './caller.ts';
import { closed } from './closing.ts';
import { stderr } from './output.ts';
import { rootlessMap } from './rootless.ts';

/** The store of this command and the rooms over it. Opening costs a few milliseconds and no thread; closes with its scope. */
export interface Session extends Rooms, AsyncDisposable {
  /** Threads for work on bytes; none is started before it is needed. */
  readonly pool: WorkerPool;
}

/** Opens the store where the environment says it is. */
export function openSession(): Session {
  const root = storeRoot(process.env, process.getuid?.() ?? 0);
  const store = openStore(root);
  if (hasNoHome(process.env))
    stderr.write(`WARNING: the home directory cannot be written: the store is ${root} (KILN_ROOT names another)\n`);
  store.onWarning((warning) => stderr.write(`WARNING: ${warning}\n`));
  const pool = createPool({ entry: workerEntry(), threads: Math.max(2, availableParallelism()), prepare: enterMountsAsRoot });
  const rooms = openRooms(store, pooledJobs(pool));
  return {
    ...rooms,
    pool,
    async [Symbol.asyncDispose]() {
      await closed('the worker threads', pool[Symbol.asyncDispose]());
      await closed('the store', rooms.snapshotter[Symbol.asyncDispose]());
      store.close();
    },
  };
}

/** Beside the bundle, or this source file. */
function workerEntry(): URL {
  if (import.meta.url.endsWith('.ts')) return new URL('./worker.ts', import.meta.url);
  return new URL('./worker.cjs', import.meta.url);
}

/** Where nothing can be mounted there is nothing for threads to see. */
function enterMountsAsRoot(): void {
  if (process.getuid?.() === 0) mayMount();
}

/** KILN_ROOT, or /var/lib/kiln for root, or the user's data directory; `own` ids have a store apart (rootless.ts). */
export function storeRoot(env: NodeJS.ProcessEnv, uid: number): string {
  if (env['KILN_ROOT']) return env['KILN_ROOT'];
  const map = rootlessMap(env);
  if (uid === 0 && map === undefined) return '/var/lib/kiln';
  return join(dataDirectory(env).path, map === 'own' ? 'kiln-own-ids' : 'kiln');
}

/** Whether the store of an ordinary user is where it is for want of a better place. */
function hasNoHome(env: NodeJS.ProcessEnv): boolean {
  return !env['KILN_ROOT'] && rootlessMap(env) !== undefined && dataDirectory(env).substitute;
}

/** Where sandboxes keep what must not outlive the machine's run. */
export function stateDirectory(): string {
  const runtime = rootlessMap() === undefined ? '/run' : process.env['XDG_RUNTIME_DIR'];
  // A container may have none that can be written; a variable may be left over from another user.
  if (runtime && isWritable(join(runtime, 'kiln'))) return join(runtime, 'kiln');
  return resolve(storeRoot(process.env, process.getuid?.() ?? 0), 'run');
}
