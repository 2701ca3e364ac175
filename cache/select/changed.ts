import { errnoOf, KilnError } from '../../base/errors.ts';
import { osError } from '../../base/oserror.ts';

/** A process writes to the tree while it is being read. */
export function contextChanged(path: string, cause?: unknown): KilnError {
  return new KilnError('KILN_CONTEXT_CHANGED', `"/${path}" changed while it was being read`, {
    hint: 'build again when nothing writes to the build context any more',
    cause,
  });
}

/** Errors about a path that existed, and was of the expected type, a moment ago. */
const REPLACED_ERRNOS = new Set(['ENOENT', 'ENOTDIR', 'EINVAL', 'ELOOP', 'ENXIO']);

/**
 * The error to report when reading `path` failed, although a walk had seen it: KILN_CONTEXT_CHANGED
 * when it was removed or replaced meanwhile, KILN_CONTEXT_UNREADABLE when the system refuses to
 * read it.
 */
export function unreadable(path: string, error: unknown): unknown {
  if (REPLACED_ERRNOS.has(errnoOf(error) ?? '')) return contextChanged(path, error);
  const leftOut = 'or leave it out by a line in .dockerignore';
  return osError(error, {
    code: 'KILN_CONTEXT_UNREADABLE',
    what: `"/${path}" cannot be read`,
    path: path || '.',
    place: 'later',
    hint: {
      EACCES: `let this user read it (chmod a+r ${path || '.'}; directories need a+rx), ${leftOut}`,
      EPERM: `let this user read it, ${leftOut}`,
      EIO: `check the disk or the network file system that it is on (dmesg), ${leftOut}`,
    },
  });
}

/**
 * The result of `read` for `path`, which a walk had seen. Its error is converted by `unreadable`.
 */
export function stillThere<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw unreadable(path, error);
  }
}
