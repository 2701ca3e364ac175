import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, digestOf, hexOf } from '../base/digest.ts';
import type { Repository } from './client.ts';

/**
 * The repositories in which a blob has been seen. From there it can be mounted into another
 * repository of the same registry.
 */
export interface BlobLocations {
  /** Repositories of `domain`, the most recently seen first. They may have lost the blob since. */
  find(domain: string, digest: Digest): readonly Repository[];
  add(repository: Repository, digest: Digest): void;
  /** Writes the additions to disk. */
  save(): void;
}

/**
 * The most repositories remembered for one blob, because a mount that fails costs a request each.
 */
const MAX_PER_BLOB = 2;
/** The most blobs remembered for one registry. The oldest are forgotten. */
const MAX_BLOBS = 4000;

type Paths = Map<Digest, readonly string[]>;

/**
 * Keeps one file for each registry in `directory`. When two processes write at once, additions of
 * one may be lost, and nothing else.
 */
export function openBlobLocations(directory: string): BlobLocations {
  const domains = new Map<string, { readonly paths: Paths; changed: boolean }>();
  const fileOf = (domain: string) => join(directory, `${hexOf(digestOf(domain))}.json`);
  const of = (domain: string) => {
    let known = domains.get(domain);
    if (!known) domains.set(domain, (known = { paths: readPaths(fileOf(domain)), changed: false }));
    return known;
  };
  return {
    find: (domain, digest) =>
      (of(domain).paths.get(digest) ?? []).map((path) => ({ domain, path })),
    add({ domain, path }, digest) {
      const known = of(domain);
      const before = known.paths.get(digest) ?? [];
      if (before[0] === path) return;
      known.paths.delete(digest);
      known.paths.set(
        digest,
        [path, ...before.filter((other) => other !== path)].slice(0, MAX_PER_BLOB),
      );
      known.changed = true;
    },
    save() {
      for (const [domain, known] of domains) {
        if (!known.changed) continue;
        writePaths(directory, fileOf(domain), domain, known.paths);
        known.changed = false;
      }
    },
  };
}

function readPaths(file: string): Paths {
  try {
    const { blobs } = JSON.parse(readFileSync(file, 'utf8')) as { blobs: [Digest, string[]][] };
    return new Map(blobs.filter(([, paths]) => paths.every((path) => typeof path === 'string')));
  } catch {
    // The file does not exist or is damaged. Then blobs are sent that could have been mounted.
    return new Map();
  }
}

function writePaths(directory: string, file: string, domain: string, paths: Paths): void {
  const temporary = `${file}.${process.pid}.part`;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    writeFileSync(temporary, JSON.stringify({ domain, blobs: [...paths].slice(-MAX_BLOBS) }));
    renameSync(temporary, file);
  } catch {
    // This file only saves work. A full disk is reported by the code that has to write.
  }
}
