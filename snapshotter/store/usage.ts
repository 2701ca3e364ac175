import { lstatSync, readdirSync } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';

const SLASH = Buffer.from('/');
const BLOCK = 512;

export interface Usage {
  /** Allocated on disk. */
  readonly bytes: number;
  /** True when a file has another name somewhere else. */
  readonly outside: boolean;
}

/**
 * Bytes on disk below `path`, itself included: allocated blocks, a file with several names once, as du(1) counts. `seen` carries inodes
 * over several calls. Only names and metadata are read and no link is followed; 100,000 files take about half a second.
 */
export function diskUsage(path: string, seen: Set<string> = new Set()): Usage {
  const stack: Buffer[] = [Buffer.from(path)];
  const names = new Map<string, number>();
  let bytes = 0;
  for (let at = stack.pop(); at; at = stack.pop()) {
    const stat = lstatSync(at, { throwIfNoEntry: false });
    // What may go while we look is not there.
    if (!stat) continue;
    if (stat.isDirectory()) for (const name of namesIn(at)) stack.push(Buffer.concat([at, SLASH, name]));
    else if (stat.nlink > 1) {
      const inode = `${stat.dev}:${stat.ino}`;
      names.set(inode, (names.get(inode) ?? stat.nlink) - 1);
      if (seen.has(inode)) continue;
      seen.add(inode);
    }
    bytes += stat.blocks * BLOCK;
  }
  return { bytes, outside: [...names.values()].some((left) => left > 0) };
}

function namesIn(directory: Buffer): Buffer[] {
  try {
    return readdirSync(directory, { encoding: 'buffer' });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}
