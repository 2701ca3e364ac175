import { errnoOf, KilnError } from '../../base/errors.ts';
import { osError } from '../../base/oserror.ts';

/** Something writes to the tree while it is read. */
export function contextChanged(path: string, cause?: unknown): KilnError {
  return new KilnError('KILN_CONTEXT_CHANGED', `"/${path}" changed while it was being read`, {
    hint: 'build again when nothing writes to the build context any more',
    cause,
  });
}

/** What a call says of something that was there, and of that kind, a moment ago. */
const GONE = new Set(['ENOENT', 'ENOTDIR', 'EINVAL', 'ELOOP', 'ENXIO']);

/**
 * What the user should see for `error`, met while `path` was read, which a walk had seen: KILN_CONTEXT_CHANGED when it is not there any
 * more or something else by now, KILN_CONTEXT_UNREADABLE when the system refuses it.
 */
export function unreadable(path: string, error: unknown): unknown {
  if (GONE.has(errnoOf(error) ?? '')) return contextChanged(path, error);
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

/** What `read` answers about `path`, which was seen there. Throws what `unreadable` makes of an error. */
export function stillThere<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw unreadable(path, error);
  }
}
