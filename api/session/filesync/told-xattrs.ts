import { Code, ConnectError } from '@connectrpc/connect';
import { xattrCounts } from '../../../cache/contenthash/xattrs.ts';
import { listXattrs, removeXattr, setXattr, XattrError } from '../../../snapshotter/sys/xattr.ts';
import type { FileStat } from './packet.ts';

type Told = Pick<FileStat, 'path' | 'xattrs'>;

/** True when both have the same of those attributes that belong to a file's content. */
export function sameXattrs(one: Told, other: Told): boolean {
  if (one.xattrs.size === 0 && other.xattrs.size === 0) return true;
  const [some, others] = [counted(one), counted(other)];
  return (
    some.length === others.length &&
    some.every(([name, value]) => Buffer.from(value).equals(other.xattrs.get(name) ?? NONE))
  );
}

const NONE = Buffer.alloc(0);

/**
 * Gives a file the attributes that its client tells: `place` is its path, or that of a descriptor.
 * An attribute that this host does not allow, or its file system does not have, is left out, as
 * when a layer is unpacked by an ordinary user. Throws a ConnectError for one that is not valid.
 */
export function setToldXattrs(place: string, stat: Told): void {
  const options = { follow: true };
  for (const [name, value] of counted(stat)) {
    try {
      setXattr(place, name, value, options);
    } catch (error) {
      if (!(error instanceof XattrError)) throw error;
      if (['EPERM', 'EOPNOTSUPP', 'ENOTSUP'].includes(error.code)) continue;
      throw new ConnectError(
        `the client told an attribute ${name} of ${stat.path} that is not valid: ${error.code}`,
        Code.InvalidArgument,
      );
    }
  }
}

/** The same for a directory that is there, and may have others. */
export function replaceToldXattrs(place: string, stat: Told): void {
  for (const name of listXattrs(place).filter(xattrCounts))
    if (!stat.xattrs.has(name)) removeXattr(place, name);
  setToldXattrs(place, stat);
}

function counted({ xattrs }: Told): [string, Uint8Array][] {
  return [...xattrs].filter(([name]) => xattrCounts(name));
}
