import { errnoOf } from '../../base/errors.ts';
import { MS } from './constants.ts';
import { mount } from './mount.ts';

/**
 * Mounts a file system in memory for secrets at a directory of Kiln's. Its files never reach a
 * disk. They do not reach swap either where the kernel can promise that (Linux 6.4, outside of a
 * user namespace). Call it in the private mount namespace.
 */
export function mountMemory(path: string, size: string): void {
  const flags = MS.NOSUID | MS.NODEV;
  const options = `mode=0700,size=${size}`;
  try {
    mount('tmpfs', path, 'tmpfs', flags, `${options},noswap`);
  } catch (error) {
    if (errnoOf(error) !== 'EINVAL' && errnoOf(error) !== 'EPERM') throw error;
    mount('tmpfs', path, 'tmpfs', flags, options);
  }
}
