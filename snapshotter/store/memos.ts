import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** The directory of a store with memos of builds that found everything made (decision 062). */
export function memosOf(root: string): string {
  return join(root, 'memos');
}

/** Removes all memos. What cannot be removed is of no use any more: the index has changed. */
export function removeMemos(root: string): void {
  const directory = memosOf(root);
  try {
    for (const name of readdirSync(directory)) rmSync(join(directory, name), { force: true });
  } catch {
    // There are none, or they are left to the next collection.
  }
}
