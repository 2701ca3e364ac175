import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf, hexOf, isDigest } from '../base/digest.ts';
import type { Descriptor } from '../base/oci.ts';

/** What tags meant when a registry was last asked. It is used when the registry cannot be asked. */
export interface TagMemory {
  get(name: string): Descriptor | undefined;
  put(name: string, target: Descriptor): void;
}

/**
 * Keeps a small file for each name (`docker.io/library/busybox:latest`) in `directory`. Nothing is
 * written when nothing has changed.
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
    put(name, { mediaType, digest, size }) {
      if (get(name)?.digest === digest) return;
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
