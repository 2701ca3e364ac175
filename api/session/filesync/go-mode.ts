import { S } from '../../../snapshotter/sys/constants.ts';

/** The bits of Go's FileMode above the permissions. */
export const GO_MODE = {
  directory: 0x8000_0000,
  symlink: 0x0800_0000,
  device: 0x0400_0000,
  fifo: 0x0200_0000,
  socket: 0x0100_0000,
  setuid: 0x0080_0000,
  setgid: 0x0040_0000,
  /** Beside `device`. Without it, a device is one of blocks. */
  character: 0x0020_0000,
  sticky: 0x0010_0000,
  irregular: 0x0008_0000,
} as const;

/** The bits of the type. A regular file has none of them. */
const GO_TYPE =
  GO_MODE.directory |
  GO_MODE.symlink |
  GO_MODE.device |
  GO_MODE.fifo |
  GO_MODE.socket |
  GO_MODE.irregular;

export function isDirectoryStat({ mode }: { readonly mode: number }): boolean {
  return typeOf(mode) === GO_MODE.directory;
}

/** Returns the bits of the type, unsigned: 0 for a regular file. */
export function typeOf(mode: number): number {
  return (mode & GO_TYPE) >>> 0;
}

/** Returns the permissions in a mode of Go, as the kernel has them. */
export function permissionsOf(mode: number): number {
  return (
    (mode & 0o777) |
    (mode & GO_MODE.setuid ? 0o4000 : 0) |
    (mode & GO_MODE.setgid ? 0o2000 : 0) |
    (mode & GO_MODE.sticky ? 0o1000 : 0)
  );
}

const TYPES: Readonly<Record<number, number>> = {
  [S.IFDIR]: GO_MODE.directory,
  [S.IFLNK]: GO_MODE.symlink,
  [S.IFIFO]: GO_MODE.fifo,
  [S.IFSOCK]: GO_MODE.socket,
  [S.IFBLK]: GO_MODE.device,
  [S.IFCHR]: GO_MODE.device | GO_MODE.character,
};

/** Returns a mode of the kernel as Go has it. */
export function goMode(mode: number): number {
  const type = TYPES[mode & S.IFMT] ?? 0;
  const bits =
    (mode & 0o4000 ? GO_MODE.setuid : 0) |
    (mode & 0o2000 ? GO_MODE.setgid : 0) |
    (mode & 0o1000 ? GO_MODE.sticky : 0);
  return ((mode & 0o777) | bits | type) >>> 0;
}
