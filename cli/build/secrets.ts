import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { KilnError } from '../../base/errors.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { MS } from '../../snapshotter/sys/constants.ts';
import { mount, unmount } from '../../snapshotter/sys/mount.ts';
import { enterPrivateMounts } from '../../snapshotter/sys/namespace.ts';
import type { SecretSpec } from './options.ts';

/** As BuildKit. */
const LIMIT = 500 * 1024;

/** The bytes of the secret `id`, read when a step asks for it; undefined when none was given. */
export async function readSecret(secrets: readonly SecretSpec[], id: string): Promise<Uint8Array | undefined> {
  const found = secrets.find((secret) => secret.id === id);
  if (!found) return undefined;
  if (found.source.kind === 'env') {
    const value = process.env[found.source.name];
    return value === undefined ? undefined : Buffer.from(value);
  }
  const { path } = found.source;
  if (statSync(path).size > LIMIT)
    throw new KilnError('KILN_SECRET_TOO_LARGE', `secret ${id} has more than ${LIMIT} bytes`, { place: { kind: 'path', path } });
  return readFileSync(path);
}

/** A directory in memory that only this process's mount namespace has: its files never touch a disk and die with the process. */
export function secretDirectory(store: Store): Disposable & { readonly path: string } {
  enterPrivateMounts();
  const path = store.scratchPath('secret');
  mkdirSync(path, { mode: 0o700 });
  mount('tmpfs', path, 'tmpfs', MS.NOSUID | MS.NODEV, 'mode=0700,size=1m');
  return { path, [Symbol.dispose]: () => unmount(path) };
}
