import { lstatSync, statfsSync } from 'node:fs';
import type { FileIdentity } from '../select/entry.ts';

/**
 * File systems whose time stamps come from this kernel's clock: statfs(2), f_type of ext2 to 4,
 * XFS, btrfs, tmpfs, overlay, F2FS, bcachefs, ZFS.
 */
const LOCAL: ReadonlySet<number> = new Set([
  0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0xf2f52010, 0xca451a4e, 0x2fc12fc1,
]);

/** The kernel's clock for file times ticks every 1 to 10 ms. This is ten times that. */
const LOCAL_MS = 100;
/** Other file systems: FAT counts in steps of two seconds, and a file server has its own clock. */
const OTHER_MS = 2000;

/**
 * Whether a file that was read at `readAt` (ms) could change afterwards and show the same times.
 */
export type RacyGuard = (file: FileIdentity, readAt: number) => boolean;

/**
 * The guard for the files under `root`. A file on another device, and a file whose times have no
 * part below a millisecond, are treated as if their clock were slow.
 */
export function racyGuard(root: string): RacyGuard {
  const device = LOCAL.has(statfsSync(root).type) ? lstatSync(root).dev : undefined;
  return ({ dev, mtimeMs, ctimeMs }, readAt) =>
    dev === device && ctimeMs % 1 !== 0
      ? ctimeMs > readAt - LOCAL_MS
      : Math.max(mtimeMs, ctimeMs) > readAt - OTHER_MS;
}
