import type { Snapshot, Snapshotter } from '../../../snapshotter/snapshotter.ts';
import { S } from '../../../snapshotter/sys/constants.ts';
import { openRoot, type Root } from '../../../snapshotter/sys/rooted.ts';
import { COPY_TREE, type FileActionCopy } from '../../llb/file-op.ts';
import type { CopyPool } from '../file/inparts.ts';
import { performCopy } from '../file/perform.ts';
import { unhashed } from '../file/unhashed.ts';

/** Copies a whole tree onto another one. What is there of another kind is replaced. */
const ONTO: FileActionCopy = {
  ...COPY_TREE,
  createDestPath: true,
  alwaysReplaceExistingDestPaths: true,
};

export interface DiffWorld {
  readonly snapshotter: Pick<Snapshotter, 'prepare' | 'view' | 'directories'>;
  readonly copyPool?: CopyPool;
}

/**
 * The changes that lead from the tree `lower` to the tree `upper`, as one layer. A layer on `lower`
 * is made the same as `upper`; committing it keeps only what differs. Names that are gone are
 * removed one by one, so that the layer hides nothing else on another tree.
 */
export async function diffBetween(
  lower: Snapshot,
  upper: Snapshot,
  { snapshotter, copyPool: pool }: DiffWorld,
  signal: AbortSignal,
): Promise<Snapshot> {
  await using view = await snapshotter.view(upper);
  await using active = await snapshotter.prepare(lower);
  const tree = { root: view.root };
  {
    using from = openRoot(view.root);
    using to = openRoot(active.root);
    removeGone(from, to);
  }
  signal.throwIfAborted();
  const overrides = { owner: undefined, mode: undefined, time: undefined };
  const selected = unhashed(tree, ONTO);
  await performCopy({ copy: ONTO, tree, selected, to: active.root, overrides, pool }, signal);
  const { layers } = await active.commit();
  return { layers: layers.slice(lower.layers.length) };
}

/** Removes what `from` does not have, in the directories that both trees have. */
function removeGone(from: Root, to: Root): void {
  const pending = [''];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop())
    for (const name of to.readdir(directory || '/')) {
      const path = directory === '' ? name : `${directory}/${name}`;
      const kept = from.stat(path, { follow: false });
      if (!kept) to.remove(path);
      else if (isDirectory(kept) && isDirectory(to.stat(path, { follow: false })))
        pending.push(path);
    }
}

function isDirectory(stat: { readonly mode: number } | undefined): boolean {
  return stat !== undefined && (stat.mode & S.IFMT) === S.IFDIR;
}
