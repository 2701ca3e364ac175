import { enumName } from '../../llb/enums.ts';
import { type LentOptions, MOUNT_TYPE, type Mount, type MountTypeName } from '../../llb/mount.ts';
import { openCache } from './cache-mounts.ts';
import { openSecret, openSsh } from './lent-mounts.ts';
import { openBind } from './mount-trees.ts';
import type { OpenedMount, Opening, StepUser } from './opening.ts';

/** What a type of mount means for a step. */
interface StepMountType {
  /** Opens a mount. Undefined if it is optional and there is nothing to mount. */
  readonly open: (
    mount: Mount,
    opening: Opening,
    user: StepUser,
  ) => OpenedMount | undefined | Promise<OpenedMount | undefined>;
  /**
   * What of its options counts in the key of the step. It is asked of mounts of every type. For a
   * new type it has to be undefined where its options are not set: the keys of all other mounts
   * stay as they are.
   */
  readonly counts: (mount: Mount) => unknown;
  /** True if a step that mounts an input so only reads it: it then counts by its content. */
  readonly onlyReads: boolean;
}

/** In the order in which their options are in keys. */
export const STEP_MOUNTS: { readonly [type in MountTypeName]: StepMountType } = {
  bind: { open: openBind, counts: () => undefined, onlyReads: true },
  // Neither its name nor how it is shared changes what a step is.
  cache: { open: openCache, counts: () => undefined, onlyReads: false },
  tmpfs: {
    open: ({ dest, tmpfs }) => ({ spec: { kind: 'tmpfs', target: dest, size: tmpfs?.size ?? 0 } }),
    counts: ({ tmpfs }) => tmpfs?.size ?? 0,
    onlyReads: true,
  },
  secret: { open: openSecret, counts: ({ secret }) => lentOptions(secret), onlyReads: true },
  ssh: { open: openSsh, counts: ({ ssh }) => lentOptions(ssh), onlyReads: true },
};

function lentOptions(given: LentOptions | undefined): unknown {
  return given ? [given.id, given.uid, given.gid, given.mode, given.optional] : null;
}

/** The name of the type of a mount that `checkExec` has accepted. */
export function mountTypeName({ mountType = MOUNT_TYPE.bind }: Mount): MountTypeName {
  return enumName(MOUNT_TYPE, mountType)!;
}
