import { decodeName } from '../../../snapshotter/sys/name-bytes.ts';
import type { Git } from './repository.ts';

/** One file of a commit. */
export interface IndexEntry {
  /** The mode: `100644`, `100755`, `120000` (symlink) or `160000` (submodule). */
  readonly mode: string;
  readonly id: string;
  /** The path, with bytes that are not UTF-8 in the text form of name-bytes.ts. */
  readonly path: string;
}

export const SUBMODULE = '160000';

/** Reads the tree of `commit` into the index that `env` names. Returns its entries. */
export async function readIndex(
  git: Git,
  env: Readonly<Record<string, string>>,
  commit: string,
): Promise<readonly IndexEntry[]> {
  await git.run(`read the tree of ${commit}`, ['read-tree', commit], { env });
  const output = await git.run(`list the files of ${commit}`, ['ls-files', '--stage', '-z'], {
    env,
  });
  return decodeName(output)
    .split('\0')
    .filter((line) => line !== '')
    .map((line) => {
      const tab = line.indexOf('\t');
      const [mode = '', id = ''] = line.slice(0, tab).split(' ');
      return { mode, id, path: line.slice(tab + 1) };
    });
}
