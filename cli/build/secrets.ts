import { createHmac, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { osError } from '../../base/oserror.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { MS } from '../../snapshotter/sys/constants.ts';
import { mount, unmount } from '../../snapshotter/sys/mount.ts';
import { enterPrivateMounts } from '../../snapshotter/sys/namespace.ts';
import type { SecretSpec } from './options.ts';

/** As BuildKit. */
const LIMIT = 500 * 1024;

/** What `--secret` lends. Each secret is read when a step first asks for it, and once: a pipe cannot be read again. */
export interface Secrets {
  /** The bytes, or undefined when none of that id was given. */
  readonly read: (id: string) => Promise<Uint8Array | undefined>;
  /** For a secret with `invalidate`: what stands for its bytes in keys. It tells nothing of them without a random number of this store. */
  readonly mark: (id: string) => Promise<string | undefined>;
}

export function openSecrets(specs: readonly SecretSpec[], store: Store, readStdin: () => Promise<Buffer>): Secrets {
  const known = new Map<string, Promise<Uint8Array | undefined>>();
  const specOf = (id: string) => specs.find((spec) => spec.id === id);
  const read = async (id: string) => {
    const spec = specOf(id);
    if (!spec) return undefined;
    let bytes = known.get(id);
    if (!bytes) {
      bytes = readSecret(spec, readStdin);
      known.set(id, bytes);
    }
    return await bytes;
  };
  return {
    read,
    async mark(id) {
      if (!specOf(id)?.invalidate) return undefined;
      const bytes = await read(id);
      return bytes ? createHmac('sha256', markKey(store)).update(bytes).digest('hex') : 'none';
    },
  };
}

async function readSecret({ id, source }: SecretSpec, readStdin: () => Promise<Buffer>): Promise<Uint8Array | undefined> {
  if (source.kind === 'env') {
    const value = process.env[source.name];
    return value === undefined ? undefined : Buffer.from(value);
  }
  if (source.kind === 'stdin') return limited(id, await readStdin());
  const place = { kind: 'path', path: source.path } as const;
  try {
    // A pipe, as `<(command)` makes one, has no size before it is read.
    if (statSync(source.path).size > LIMIT) throw tooLarge(id);
    return limited(id, readFileSync(source.path));
  } catch (error) {
    if (error instanceof KilnError) throw error.at(place);
    throw osError(error, {
      code: 'KILN_SECRET_NOT_FOUND',
      what: `the file of secret ${id} cannot be read`,
      path: source.path,
      hint: 'name another file with src=',
    });
  }
}

function limited(id: string, bytes: Buffer): Buffer {
  if (bytes.byteLength > LIMIT) throw tooLarge(id);
  return bytes;
}

function tooLarge(id: string): KilnError {
  return new KilnError('KILN_SECRET_TOO_LARGE', `secret ${id} has more than ${LIMIT} bytes`);
}

/** Made with the first secret that is to count: who has the records of a store, but not this file, cannot try values against them. */
function markKey(store: Store): Buffer {
  const path = join(store.root, 'secret-marks');
  try {
    writeFileSync(path, randomBytes(32), { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
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
