import type { MountSpec } from '../../../executor/executor.ts';
import type { ActiveSnapshot } from '../../../snapshotter/snapshotter.ts';
import type { ExecOp } from '../../llb/exec-op.ts';
import { MOUNT_TYPE, type Mount } from '../../llb/mount.ts';
import type { BuildResult } from '../../result.ts';
import { leaseCaches } from './cache-mounts.ts';
import { openTree } from './mount-trees.ts';
import { mountTypeName, STEP_MOUNTS } from './mount-types.ts';
import { type MountContext, type Opening, outputOf, stepUser } from './opening.ts';

/**
 * The mounts of an exec op. They stay open until they are disposed, after the process has ended.
 */
export interface OpenMounts extends AsyncDisposable {
  readonly root: string;
  readonly readonlyRoot: boolean;
  readonly specs: readonly MountSpec[];
  /** The requested size of /dev/shm in bytes; 0 for the default. */
  readonly shmSize: number;
  /** The writable trees that become outputs, in the order of the outputs. */
  readonly outputs: readonly ActiveSnapshot[];
  /** All writable trees, by their mounts. */
  readonly written: ReadonlyMap<Mount, ActiveSnapshot>;
}

/**
 * Opens all mounts of an exec op that `checkExec` has accepted. Rejects with KILN_SECRET_NOT_FOUND,
 * KILN_SSH_AGENT, KILN_MOUNT_SOURCE_MISSING or KILN_COPY_SOURCE_MISSING.
 */
export async function openMounts(
  op: ExecOp,
  inputs: readonly BuildResult[],
  context: MountContext,
): Promise<OpenMounts> {
  await using scope = new AsyncDisposableStack();
  // What a shell runs is its last word.
  const command = op.meta?.args.at(-1) ?? '';
  const opening: Opening = { ...context, inputs, command, scope, caches: new Map() };
  await leaseCaches(op.mounts, opening);
  const outputs = new Map<number, ActiveSnapshot>();
  const written = new Map<Mount, ActiveSnapshot>();
  const keep = (mount: Mount, active: ActiveSnapshot | undefined) => {
    if (!active) return;
    written.set(mount, active);
    if (outputOf(mount) !== -1) outputs.set(outputOf(mount), active);
  };
  // `checkExec` makes sure that there is exactly one.
  const top = op.mounts.find(({ dest }) => dest === '/')!;
  const { root, active } = await openTree(top, opening);
  keep(top, active);
  const user = stepUser(root, op.meta.user ?? '');
  let shmSize = 0;
  const specs: MountSpec[] = [];
  for (const mount of op.mounts) {
    if (mount === top) continue;
    if (mount.mountType === MOUNT_TYPE.tmpfs && mount.dest === '/dev/shm')
      shmSize = mount.tmpfs?.size ?? 0;
    else {
      const opened = await STEP_MOUNTS[mountTypeName(mount)].open(mount, opening, user);
      if (opened) specs.push(opened.spec);
      keep(mount, opened?.active);
    }
  }
  const held = scope.move();
  return {
    root,
    readonlyRoot: top.readonly === true,
    shmSize,
    specs,
    outputs: Array.from({ length: outputs.size }, (_, index) => outputs.get(index)!),
    written,
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}
