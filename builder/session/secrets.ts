import { createHmac, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { attempt } from '../../base/oserror.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { mountMemory } from '../../snapshotter/sys/memory.ts';
import { unmount } from '../../snapshotter/sys/mount.ts';
import { requireMounts } from '../../snapshotter/sys/namespace.ts';
import type { SecretSpec } from '../build-options.ts';
import type { ContextHost } from '../context/context.ts';
import { readNamed, whyNotRead } from '../context/tree-file.ts';

/** As BuildKit. */
const LIMIT = 500 * 1024;

/** What `--secret` lends. Each secret is read when a step first asks for it, and once: a pipe cannot be read again. */
export interface Secrets {
  /** The bytes, or undefined when none of that id was given. */
  readonly read: (id: string) => Promise<Uint8Array | undefined>;
  /** For a secret with `invalidate`: what stands for its bytes in keys. It tells nothing of them without a random number of this store. */
  readonly mark: (id: string) => Promise<string | undefined>;
}

/** Where secrets that are no plain files come from. */
export type SecretHost = Pick<ContextHost, 'readStdin' | 'readPipe'>;

export function openSecrets(specs: readonly SecretSpec[], store: Store, host: SecretHost): Secrets {
  const known = new Map<string, Promise<Uint8Array | undefined>>();
  const specOf = (id: string) => specs.find((spec) => spec.id === id);
  const read = async (id: string) => {
    const spec = specOf(id);
    if (!spec) return undefined;
    let bytes = known.get(id);
    if (!bytes) {
      bytes = readSecret(spec, host);
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

async function readSecret({ id, source }: SecretSpec, host: SecretHost): Promise<Uint8Array | undefined> {
  if (source.kind === 'env') {
    const value = process.env[source.name];
    return value === undefined ? undefined : limited(id, Buffer.from(value));
  }
  if (source.kind === 'stdin') return limited(id, await host.readStdin(LIMIT));
  const { path } = source;
  const place = { kind: 'path', path } as const;
  const read = { code: 'KILN_SECRET_NOT_FOUND', what: `the file of secret ${id} cannot be read`, path } as const;
  try {
    // A pipe, as `<(command)` makes one, has no size before it is read, and must not hold up everything else until it is written to.
    const pipe = attempt(read, () => statSync(path)).isFIFO();
    if (pipe) return limited(id, await host.readPipe(path, LIMIT));
    const found = attempt(read, () => readNamed(path, LIMIT, { devices: true }));
    if (found.kind === 'file') return found.bytes;
    if (found.kind === 'large') throw tooLarge(id);
    const why = found.kind === 'absent' ? 'is not there any more' : whyNotRead(found);
    throw new KilnError('KILN_SECRET_NOT_FOUND', `the file of secret ${id} ${why}`, { hint: 'name a file or a pipe with src=' });
  } catch (error) {
    throw error instanceof KilnError ? error.at(place) : error;
  }
}

function limited(id: string, bytes: Buffer | undefined): Buffer {
  if (!bytes || bytes.byteLength > LIMIT) throw tooLarge(id);
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
  requireMounts('secrets are kept in a file system in memory');
  const path = store.scratchPath('secret');
  mkdirSync(path, { mode: 0o700 });
  mountMemory(path, '1m');
  return { path, [Symbol.dispose]: () => unmount(path) };
}
