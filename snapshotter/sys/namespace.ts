import { isMainThread } from 'node:worker_threads';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { CLONE, MS } from './constants.ts';
import { mount, unshare } from './mount.ts';

let entered = false;

/**
 * Gives this process a mount namespace of its own, once, so that no mount of ours outlives it or is
 * seen by others; mounts made outside (an unlocked disk, an automount) still arrive. Needs
 * CAP_SYS_ADMIN: throws a SysError with code EPERM without it.
 *
 * A namespace belongs to a thread. What inherits ours: the main thread, worker threads started
 * *after* this call, and children that the main thread spawns. What may not: the libuv pool, whose
 * threads start with the first asynchronous file operation. So reach into a mount of ours with
 * synchronous calls or through a descriptor, never with fs.promises on a path.
 */
export function enterPrivateMounts(): void {
  if (entered) return;
  if (!isMainThread) throw new Error('enterPrivateMounts() belongs on the main thread');
  unshare(CLONE.NEWNS);
  mount(null, '/', null, MS.REC | MS.SLAVE);
  entered = true;
}

/**
 * As `enterPrivateMounts`, for what cannot be done without: throws KILN_NO_PRIVILEGE. `what` needs
 * it, as the start of a sentence.
 */
export function requireMounts(what: string): void {
  if (!mayMount()) throw noMounts(what);
}

/** The one sentence about a process that may not mount, which `kiln doctor` says as well. */
export const NO_MOUNTS = 'this process may make no mounts (no CAP_SYS_ADMIN, or seccomp or AppArmor refuse them)';
export const ALLOW_MOUNTS =
  'start the container or service around Kiln with --privileged, or with CAP_SYS_ADMIN and without its seccomp and AppArmor profiles';

function noMounts(what: string): KilnError {
  return new KilnError('KILN_NO_PRIVILEGE', `${what}, and ${NO_MOUNTS}`, {
    hint: `${ALLOW_MOUNTS}; builds without RUN need none of it`,
  });
}

/**
 * Enters it, and says whether that can be done: not without CAP_SYS_ADMIN, nor where seccomp or
 * AppArmor refuses mounts.
 */
export function mayMount(): boolean {
  try {
    enterPrivateMounts();
    return true;
  } catch (error) {
    // ENOSPC: user.max_mnt_namespaces.
    if (['EPERM', 'EACCES', 'ENOSYS', 'ENOSPC'].includes(errnoOf(error) ?? '')) return false;
    throw error;
  }
}
