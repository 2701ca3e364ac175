import { inUserNamespace } from '../sys/usernamespace.ts';
import { fdPath, getFdXattr, removeXattr, setXattr } from '../sys/xattr.ts';

/**
 * Overlay's mark on a directory that hides what lower layers have under its name. Only the one that our mounts heed counts
 * (`userxattr`, see sys/overlay.ts): as root of the machine `user.overlay.opaque` is an attribute that any step may set.
 */
function markName(): string {
  return inUserNamespace() ? 'user.overlay.opaque' : 'trusted.overlay.opaque';
}

export function isOpaque(fd: number): boolean {
  return getFdXattr(fd, markName())?.toString() === 'y';
}

export function makeOpaque(fd: number): void {
  setXattr(fdPath(fd), markName(), Buffer.from('y'), { follow: true });
}

export function clearOpaque(fd: number): void {
  removeXattr(fdPath(fd), markName(), { follow: true });
}
