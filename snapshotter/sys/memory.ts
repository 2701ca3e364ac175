import { errnoOf } from '../../base/errors.ts';
import { MS } from './constants.ts';
import { mount } from './mount.ts';

/**
 * Mounts a file system in memory at a directory of ours, for secrets: its files never touch a disk,
 * also not by way of swap where the kernel can promise that (Linux 6.4, and not in a user
 * namespace). Belongs into the private mount namespace.
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
