import { chmodSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { GoldenCase } from './cases.ts';

/** All times in a golden context: what is compared must not depend on when the test runs. */
const CONTEXT_TIME = 1_700_000_000;

/** Writes the context of a case; every file and directory has the same time, so that copied times compare. */
export function writeContext(directory: string, test: GoldenCase): void {
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const entries = { Dockerfile: test.dockerfile, ...test.files };
  const directories = new Set<string>([directory]);
  for (const [name, content] of Object.entries(entries)) {
    const path = join(directory, name);
    for (let parent = dirname(path); parent !== directory; parent = dirname(parent)) directories.add(parent);
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    writeFileSync(path, content);
    chmodSync(path, test.modes?.[name] ?? 0o644);
    utimesSync(path, CONTEXT_TIME, CONTEXT_TIME);
  }
  for (const [name, target] of Object.entries(test.links ?? {})) symlinkSync(target, join(directory, name));
  for (const path of [...directories].sort().reverse()) utimesSync(path, CONTEXT_TIME, CONTEXT_TIME);
}

interface Comparable {
  tree: Record<string, Record<string, unknown> | null>;
  config: { history?: { created?: string }[]; created?: string; rootfs?: unknown; [field: string]: unknown };
  layers: number;
}

/**
 * What may be compared: times that the build itself made are replaced by a word (both engines make them when they run; times that come
 * from the context stay), digests of layers hold such times and are left out.
 */
export function comparable(image: Comparable): Comparable {
  for (const entry of Object.values(image.tree)) {
    if (entry && entry['mtime'] !== CONTEXT_TIME) entry['mtime'] = 'build time';
  }
  delete image.config.rootfs;
  delete image.config.created;
  for (const entry of image.config.history ?? []) delete entry.created;
  return image;
}
