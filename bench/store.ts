import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';

/**
 * Makes the directory `path` for Kiln's store. It is the mount point of a new ext4 file system with
 * a journal where that can be mounted. Disposing the returned value unmounts it.
 */
export function mountStore(
  path: string,
): AsyncDisposable & { readonly path: string; readonly note: string } {
  mkdirSync(path, { recursive: true });
  const image = `${path}.img`;
  const made =
    spawnSync('truncate', ['-s', '20G', image]).status === 0 &&
    spawnSync('mkfs.ext4', ['-q', '-F', image]).status === 0 &&
    spawnSync('mount', ['-o', 'loop', image, path]).status === 0;
  if (made) rmSync(`${path}/lost+found`, { recursive: true, force: true });
  return {
    path,
    note: made
      ? "Kiln's store was on a loop-mounted ext4 file, like the peers'."
      : "Kiln's store was in a directory of the machine's own file system.",
    async [Symbol.asyncDispose]() {
      if (made) execFileSync('umount', ['-l', path]);
      rmSync(image, { force: true });
    },
  };
}
