import { mkdirSync, readFileSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf, hexOf, isDigest } from '../base/digest.ts';
import type { Descriptor } from '../base/oci.ts';

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
  const fileOf = (name: string) => join(directory, hexOf(digestOf(name)));
  const get = (name: string): Descriptor | undefined => {
    try {
      const { mediaType, digest, size } = JSON.parse(
        readFileSync(fileOf(name), 'utf8'),
      ) as Partial<Descriptor>;
      if (
        typeof mediaType === 'string' &&
        typeof size === 'number' &&
        digest !== undefined &&
        isDigest(digest)
      )
        return { mediaType, digest, size };
    } catch {
      // The file does not exist or is damaged. That is harmless, because the registry is asked
      // first.
    }
    return undefined;
  };
  return {
    get,
    age(name) {
      const since = statSync(fileOf(name), { throwIfNoEntry: false })?.mtimeMs;
      const age = since === undefined ? Infinity : Date.now() - since;
      // File systems round times, and the time of a file may be that of a coarser clock.
      return age < -1000 ? Infinity : Math.max(0, age);
    },
    put(name, { mediaType, digest, size }) {
      if (get(name)?.digest === digest && touched(fileOf(name))) return;
      const temporary = `${fileOf(name)}.${process.pid}.part`;
      try {
        mkdirSync(directory, { recursive: true, mode: 0o700 });
        writeFileSync(temporary, JSON.stringify({ mediaType, digest, size, name }));
        renameSync(temporary, fileOf(name));
      } catch {
        // This file only saves work. A full disk is reported by the code that has to write.
      }
    },
  };
}

/** Sets the time of a file to now. False when that is not possible. */
function touched(path: string): boolean {
  const now = Date.now() / 1000;
  try {
    utimesSync(path, now, now);
    return true;
  } catch {
    return false;
  }
}
