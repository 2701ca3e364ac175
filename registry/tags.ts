import { isDigest } from '../base/digest.ts';
import type { Descriptor } from '../base/oci.ts';
import { openRememberedFiles } from './remembered.ts';

/**
 * When a registry is asked what a tag means. `ask` asks once in each build, unless the answer of an
 * earlier one is not older than the `max-age` of the registry. `missing` asks for a tag whose
 * meaning the store does not know. `never` sends no request at all, also not for layers.
 */
export type LookUps = 'ask' | 'missing' | 'never';

/**
 * What tags meant when a registry was last asked. It is used when the registry cannot be asked, or
 * need not be asked again.
 */
export interface TagMemory {
  get(name: string): Descriptor | undefined;
  /** Milliseconds since the registry gave this answer. Infinity when the clock was set back. */
  age(name: string): number;
  put(name: string, target: Descriptor): void;
}

/**
 * Keeps a small file for each name (`docker.io/library/busybox:latest`) in `directory`. The time of
 * the file is that of the answer. An answer that says nothing new changes only this time.
 */
export function openTagMemory(directory: string): TagMemory {
  const files = openRememberedFiles(directory);
  const get = (name: string): Descriptor | undefined => {
    const { mediaType, digest, size } = files.read(name) ?? {};
    return typeof mediaType === 'string' &&
      typeof size === 'number' &&
      typeof digest === 'string' &&
      isDigest(digest)
      ? { mediaType, digest, size }
      : undefined;
  };
  return {
    get,
    age: (name) => files.age(name),
    put(name, { mediaType, digest, size }) {
      if (get(name)?.digest === digest && files.confirm(name)) return;
      files.write(name, { mediaType, digest, size, name });
    },
  };
}
