import type { ProcessSpec } from './executor.ts';

/**
 * The paths in the tree at which the spec's own mounts need a mount point. Targets on a fresh file
 * system or on another mount are left out.
 */
export function mountPoints(spec: ProcessSpec): readonly string[] {
  const targets = ['/etc/resolv.conf', '/etc/hosts', ...spec.mounts.map((mount) => mount.target)];
  const covers = [...KERNEL_TREES, ...spec.mounts.map((mount) => mount.target)];
  return targets.filter(
    (target) => !covers.some((cover) => isBelow(target, cover)) && !KERNEL_TREES.includes(target),
  );
}

/** The directories of the tree that the kernel's file systems cover. */
export const KERNEL_TREES: readonly string[] = ['/proc', '/sys', '/dev'];

/** True when `path` is strictly inside `directory`. Both are absolute and normalised. */
export function isBelow(path: string, directory: string): boolean {
  return (
    path !== directory && path.startsWith(directory.endsWith('/') ? directory : `${directory}/`)
  );
}
