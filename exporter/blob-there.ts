import { lstatSync } from 'node:fs';
import { contentMismatch } from '../base/content-mismatch.ts';
import type { Descriptor } from '../base/oci.ts';
import { digestOfFile } from '../snapshotter/store/file-digest.ts';

/**
 * True when the file at `path` is this blob. Its bytes are read: a blob that was damaged, or not
 * written completely before a crash, has the right name, too.
 */
export function isBlobThere(
  path: string,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
): boolean {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (!there?.isFile() || there.size !== size) return false;
  return contentMismatch({ digest }, { digest: digestOfFile(path) }) === undefined;
}
