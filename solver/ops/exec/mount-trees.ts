import { closeSync } from 'node:fs';
import { KilnError } from '../../../base/errors.ts';
import { type ActiveSnapshot, SCRATCH, type Snapshot } from '../../../snapshotter/snapshotter.ts';
import { openRoot } from '../../../snapshotter/sys/rooted.ts';
import type { Mount } from '../../llb/mount.ts';
import type { DirectoryResult } from '../../result.ts';
import { copySubtree, realSource } from './copy-subtree.ts';
import { type OpenedMount, type Opening, outputOf } from './opening.ts';

/** A tree, and the path in it that is mounted. */
interface MountTree {
  readonly root: string;
  readonly source: string;
  readonly active?: ActiveSnapshot;
}

/**
 * The tree of a bind mount or of the root: a read-only view if the step cannot write to it,
 * otherwise a new writable layer. A root that is read-only to the step gets the points of its
 * mounts all the same.
 */
export async function openTree(mount: Mount, opening: Opening): Promise<MountTree> {
  const { inputs, scope, world } = opening;
  const input = mount.input === -1 ? undefined : inputs[mount.input];
  const source = mount.selector || '/';
  if (input?.kind === 'directory') return await copied(input, source, opening);
  const snapshot: Snapshot = input?.snapshot ?? SCRATCH;
  if (mount.readonly && outputOf(mount) === -1 && mount.dest !== '/')
    return { root: scope.use(await world.snapshotter.view(snapshot)).root, source };
  const active = scope.use(await world.snapshotter.prepare(snapshot));
  return { root: active.root, source, active };
}

/**
 * Local directories are not mounted directly. The step gets a copy of the part it mounts, owned by
 * root and without ignored files.
 */
async function copied(input: DirectoryResult, path: string, opening: Opening): Promise<MountTree> {
  const { scope, world } = opening;
  const active = scope.use(await world.snapshotter.prepare(SCRATCH));
  const source = realSource(input, path);
  await copySubtree(input, source, active.root, opening);
  return { root: active.root, source, active };
}

export async function openBind(mount: Mount, opening: Opening): Promise<OpenedMount> {
  const { root, source, active } = await openTree(mount, opening);
  return { spec: bindInside(mount, root, source, opening), active };
}

/** A bind mount of what `path` is inside `root`. */
export function bindInside(
  mount: Mount,
  root: string,
  path: string,
  { scope }: Opening,
): OpenedMount['spec'] {
  const source = pathInside(root, path, scope);
  return { kind: 'bind', source, target: mount.dest, readonly: mount.readonly === true };
}

/**
 * A path that the kernel resolves to exactly the file that `path` is inside `root`, even if
 * something is renamed later: it goes through an open descriptor of this process.
 */
function pathInside(rootPath: string, path: string, scope: AsyncDisposableStack): string {
  if (path === '/' || path === '') return rootPath;
  using root = openRoot(rootPath);
  const fd = root.find(path);
  if (fd === undefined)
    throw new KilnError(
      'KILN_MOUNT_SOURCE_MISSING',
      `the source of a mount does not exist: ${JSON.stringify(path)}`,
      {
        hint: 'check source= and from= of the mount',
      },
    );
  scope.defer(() => closeSync(fd));
  return `/proc/${process.pid}/fd/${fd}`;
}
