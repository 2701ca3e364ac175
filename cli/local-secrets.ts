import { statSync } from 'node:fs';
import { KilnError } from '../base/errors.ts';
import { attempt } from '../base/oserror.ts';
import { readNamed, whyNotRead } from '../builder/context/tree-file.ts';
import type { SecretSpec } from './build-options.ts';

/** The most bytes that a secret may have, as in BuildKit. */
const LIMIT = 500 * 1024;

/** Where secrets come from that are not regular files. `max` is in bytes. */
export interface SecretHost {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readStdin: (max: number) => Promise<Buffer | undefined>;
  readonly readPipe: (path: string, max: number) => Promise<Buffer | undefined>;
}

/**
 * Returns a function that looks up a secret of `--secret` by its id. It returns undefined for an
 * unknown id or an environment variable that is not set. Each secret is read only once, when it is
 * first looked up, because a pipe cannot be read again. Throws KILN_SECRET_NOT_FOUND or
 * KILN_SECRET_TOO_LARGE.
 */
export function localSecrets(
  specs: readonly SecretSpec[],
  host: SecretHost,
): (id: string) => Promise<Uint8Array | undefined> {
  const known = new Map<string, Promise<Uint8Array | undefined>>();
  return async (id) => {
    const spec = specs.find((one) => one.id === id);
    if (!spec) return undefined;
    let bytes = known.get(id);
    if (!bytes) known.set(id, (bytes = readSecret(spec, host)));
    return await bytes;
  };
}

async function readSecret(
  { id, source }: SecretSpec,
  host: SecretHost,
): Promise<Uint8Array | undefined> {
  if (source.kind === 'env') {
    const value = host.env[source.name];
    return value === undefined ? undefined : limited(id, Buffer.from(value));
  }
  if (source.kind === 'stdin') return limited(id, await host.readStdin(LIMIT));
  const { path } = source;
  const place = { kind: 'path', path } as const;
  const read = {
    code: 'KILN_SECRET_NOT_FOUND',
    what: `the file of secret ${id} cannot be read`,
    path,
  } as const;
  try {
    // A pipe, such as `<(command)`, has no size before it is read. Waiting for its writer must not
    // block the process.
    const pipe = attempt(read, () => statSync(path)).isFIFO();
    if (pipe) return limited(id, await host.readPipe(path, LIMIT));
    const found = attempt(read, () => readNamed(path, LIMIT, { devices: true }));
    if (found.kind === 'file') return found.bytes;
    if (found.kind === 'large') throw tooLarge(id);
    const why = found.kind === 'absent' ? 'does not exist any more' : whyNotRead(found);
    throw new KilnError('KILN_SECRET_NOT_FOUND', `the file of secret ${id} ${why}`, {
      hint: 'name a file or a pipe with src=',
    });
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
