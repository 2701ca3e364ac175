import { join, resolve } from 'node:path';
import { rootlessMap } from './rootless.ts';
import { dataDirectory } from './user-directories.ts';

/**
 * Returns the directory of the store for user `uid`: KILN_ROOT, else /var/lib/kiln for root, else
 * one in the user's data directory. A user without subordinate ids has a separate store
 * (rootless.ts).
 */
export function storeRoot(env: NodeJS.ProcessEnv, uid: number): string {
  if (env['KILN_ROOT']) return env['KILN_ROOT'];
  const map = rootlessMap(env);
  if (uid === 0 && map === undefined) return '/var/lib/kiln';
  return join(dataDirectory(env).path, map === 'own' ? 'kiln-own-ids' : 'kiln');
}

/** Returns the absolute path of the store of this process. */
export function ownStoreRoot(): string {
  return resolve(storeRoot(process.env, process.getuid?.() ?? 0));
}
