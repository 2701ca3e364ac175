import type { CacheLease } from '../../../cache/mounts.ts';
import type { MountSpec } from '../../../executor/executor.ts';
import { resolveUser } from '../../../executor/user.ts';
import type { ActiveSnapshot } from '../../../snapshotter/snapshotter.ts';
import { openRoot } from '../../../snapshotter/sys/rooted.ts';
import { MOUNT_TYPE, type Mount } from '../../llb/mount.ts';
import type { BuildResult } from '../../result.ts';
import type { StepSession } from '../../step-session.ts';
import type { World } from '../../world.ts';

/** What opening the mounts of a step needs. */
export interface MountContext {
  readonly world: World;
  readonly session: StepSession;
  readonly signal: AbortSignal;
  /** True if cache mounts start empty. */
  readonly fresh: boolean;
}

/** The opening of the mounts of one step. What is opened is closed with `scope`. */
export interface Opening extends MountContext {
  readonly inputs: readonly BuildResult[];
  /** The command of the step, for people. */
  readonly command: string;
  readonly scope: AsyncDisposableStack;
  /** The caches of the step. They are leased before any mount is opened. */
  readonly caches: Map<Mount, CacheLease>;
}

/** A mount as the executor gets it. */
export interface OpenedMount {
  readonly spec: MountSpec;
  /** The writable layer of a mount that becomes an output. */
  readonly active?: ActiveSnapshot | undefined;
}

/**
 * The output that a mount becomes; -1 for none. Only a bind mount can become one: other types leave
 * the field unset, which reads as 0.
 */
export function outputOf(mount: Mount): number {
  return (mount.mountType ?? MOUNT_TYPE.bind) === MOUNT_TYPE.bind ? mount.output : -1;
}

/**
 * The user of a step's process. It is looked up on the first call, since most steps have no mount
 * that depends on it.
 */
export type StepUser = () => { readonly uid: number; readonly gid: number };

export function stepUser(rootPath: string, name: string): StepUser {
  let found: ReturnType<StepUser> | undefined;
  return () => {
    if (found) return found;
    if (name === '') return { uid: 0, gid: 0 };
    using root = openRoot(rootPath);
    found = resolveUser(root, name);
    return found;
  };
}
