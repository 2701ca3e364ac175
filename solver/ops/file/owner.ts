import { errnoOf, KilnError } from '../../../base/errors.ts';
import type { Root } from '../../../snapshotter/sys/rooted.ts';

export interface OwnerIds {
  readonly uid: number;
  readonly gid: number;
}

/** How much is read of a passwd or group file. They come from images, so they may have any size. */
const MAX_BYTES = 10 << 20;

/**
 * The uid and gid of a user in /etc/passwd of a tree (passwd(5)). Undefined if there is no such
 * user. Throws KILN_USER_FILE.
 */
export function lookupUser(root: Root, name: string): OwnerIds | undefined {
  const fields = findLine(root, '/etc/passwd', name);
  if (!fields) return undefined;
  return { uid: parseId(fields[2]), gid: parseId(fields[3]) };
}

/**
 * The gid of a group in /etc/group of a tree (group(5)). Undefined if there is no such group.
 * Throws KILN_USER_FILE.
 */
export function lookupGroup(root: Root, name: string): number | undefined {
  const fields = findLine(root, '/etc/group', name);
  return fields ? parseId(fields[2]) : undefined;
}

/** An id. As in BuildKit's parser, an invalid number counts as 0. */
function parseId(text: string | undefined): number {
  return text !== undefined && /^[0-9]{1,10}$/.test(text) && Number(text) <= 0xfffffffe
    ? Number(text)
    : 0;
}

function findLine(root: Root, path: string, name: string): readonly string[] | undefined {
  const text = readSmall(root, path)?.toString('utf8') ?? '';
  for (const line of text.split('\n')) {
    const fields = line.trim().split(':');
    if (fields[0] === name && fields.length > 1) return fields;
  }
  return undefined;
}

function readSmall(root: Root, path: string): Buffer | undefined {
  try {
    return root.readFile(path, { max: MAX_BYTES });
  } catch (error) {
    const why = errnoOf(error);
    if (why === 'EFBIG')
      throw new KilnError(
        'KILN_USER_FILE',
        `${path} of the image is larger than ${MAX_BYTES >> 20} MiB`,
      );
    if (why === 'EINVAL')
      throw new KilnError('KILN_USER_FILE', `${path} of the image is not a regular file`);
    throw error;
  }
}
