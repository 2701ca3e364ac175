import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf, hexOf, isDigest } from '../base/digest.ts';
import type { Descriptor } from '../base/oci.ts';

/** What tags stood for when a registry was last asked: for when it cannot be. */
export interface TagMemory {
  get(name: string): Descriptor | undefined;
  put(name: string, target: Descriptor): void;
}

/** Keeps a small file for each name (`docker.io/library/busybox:latest`) in `directory`; nothing is written when nothing changed. */
export function openTagMemory(directory: string): TagMemory {
  const fileOf = (name: string) => join(directory, hexOf(digestOf(name)));
  const get = (name: string): Descriptor | undefined => {
    try {
      const { mediaType, digest, size } = JSON.parse(readFileSync(fileOf(name), 'utf8')) as Partial<Descriptor>;
      if (typeof mediaType === 'string' && typeof size === 'number' && digest !== undefined && isDigest(digest))
        return { mediaType, digest, size };
    } catch {
      // Not there, or damaged: the registry knows better anyway.
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
        // It is a memory only: a full disk is told by those who must write.
      }
    },
  };
}
