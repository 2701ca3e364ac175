import { isMainThread } from 'node:worker_threads';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { CLONE, MS } from './constants.ts';
import { mount, unshare } from './mount.ts';

let entered = false;

/**
 * Gives this process a mount namespace of its own, once. So no mount of Kiln's outlives the process
 * or is visible to others. Mounts that are made outside (an unlocked disk, an automount) still
 * arrive. Needs CAP_SYS_ADMIN: without it, throws a SysError with code EPERM.
 *
 * A namespace belongs to a thread. The main thread, worker threads started *after* this call, and
 * children of the main thread are in it. The threads of the libuv pool may not be, because they
 * start with the first asynchronous file operation. So access Kiln's mounts with synchronous calls
 * or through a descriptor, never with fs.promises on a path.
 */
export function enterPrivateMounts(): void {
  if (entered) return;
  if (!isMainThread) throw new Error('enterPrivateMounts() belongs on the main thread');
  unshare(CLONE.NEWNS);
  mount(null, '/', null, MS.REC | MS.SLAVE);
  entered = true;
}

/**
 * Like `enterPrivateMounts`, for work that is impossible without it: throws KILN_NO_PRIVILEGE.
 * `what` begins the message.
 */
export function requireMounts(what: string): void {
  if (!mayMount()) throw noMounts(what);
}

/** The sentence about a process that may not mount. `kiln doctor` prints it too. */
export const NO_MOUNTS =
  'this process may not mount anything (no CAP_SYS_ADMIN, or seccomp or AppArmor refuses it)';
export const ALLOW_MOUNTS =
  'start the container or service around Kiln with --privileged, or with CAP_SYS_ADMIN and ' +
  'without its seccomp and AppArmor profiles';

function noMounts(what: string): KilnError {
  return new KilnError('KILN_NO_PRIVILEGE', `${what}, and ${NO_MOUNTS}`, {
    hint: `${ALLOW_MOUNTS}; builds without RUN do not need it`,
  });
}

/**
 * Enters the namespace, and says whether that is possible. It is not without CAP_SYS_ADMIN, or
 * where seccomp or AppArmor refuses mounts.
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
