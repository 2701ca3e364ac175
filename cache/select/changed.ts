import { errnoOf, KilnError } from '../../base/errors.ts';

/** Something writes to the tree while it is read. */
export function contextChanged(path: string, cause?: unknown): KilnError {
  return new KilnError('KILN_CONTEXT_CHANGED', `"/${path}" changed while it was being read`, {
    hint: 'build again when nothing writes to the build context any more',
    cause,
  });
}

/** What a call says of something that was there, and of that kind, a moment ago. */
const GONE = new Set(['ENOENT', 'ENOTDIR', 'EINVAL', 'ELOOP']);

/** What `read` answers about `path`, which was seen there. Throws KILN_CONTEXT_CHANGED when it is not, or something else by now. */
export function stillThere<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw GONE.has(errnoOf(error) ?? '') ? contextChanged(path, error) : error;
  }
}
