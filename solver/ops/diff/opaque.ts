import { closeSync } from 'node:fs';
import { isOpaque } from '../../../snapshotter/layer/marks.ts';
import { O, S } from '../../../snapshotter/sys/constants.ts';
import { openRoot } from '../../../snapshotter/sys/rooted.ts';

/** True when a directory of the layer at `files` hides everything below it, also of other trees. */
export function hasOpaque(files: string): boolean {
  using root = openRoot(files);
  const pending = [''];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop())
    for (const name of root.readdir(directory || '/')) {
      const path = directory === '' ? name : `${directory}/${name}`;
      const stat = root.stat(path, { follow: false });
      if (!stat || (stat.mode & S.IFMT) !== S.IFDIR) continue;
      const fd = root.open(path, O.RDONLY | O.DIRECTORY, { noLinks: true });
      try {
        if (isOpaque(fd)) return true;
      } finally {
        closeSync(fd);
      }
      pending.push(path);
    }
  return false;
}
