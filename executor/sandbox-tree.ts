import { KilnError } from '../base/errors.ts';
import { fchmodat, mkdirat, type Stat } from '../snapshotter/sys/calls.ts';
import { S } from '../snapshotter/sys/constants.ts';
import { type Root, statAt } from '../snapshotter/sys/rooted.ts';
import type { MountSpec, ProcessSpec } from './executor.ts';
import { isBelow, KERNEL_TREES, mountPoints } from './mount-points.ts';
import { pathError, sandboxPlaces } from './sandbox-places.ts';
import { makeStubs, type Stubs, type StubTarget } from './stubs.ts';

/** Prepares the tree for one process: what must exist, and what exists only during the run. */

/**
 * Makes the directories for /proc, /sys and /dev where they are missing, and leaves them there, as
 * BuildKit does. A link in their place would make the runtime mount, or write, elsewhere
 * (CVE-2025-31133): KILN_ROOT_UNSAFE.
 */
export function makeKernelTrees(root: Root): void {
  for (const path of KERNEL_TREES) {
    const name = path.slice(1);
    const found = statAt(root.fd, name);
    if (!found) makeDirectory(root.fd, name);
    else if (!isDirectory(found)) {
      throw new KilnError('KILN_ROOT_UNSAFE', `${path} in the image is not a directory`, {
        hint: 'An image like that is broken or hostile; Kiln runs nothing in it.',
      });
    }
  }
}

/**
 * The working directory without links (sandbox-places.ts). It is made (0755, root) when the tree
 * lacks it. KILN_CWD when its path leads below /proc, by whatever links: the runtime's descriptors
 * there are ways out of the sandbox (CVE-2024-21626).
 */
export function makeWorkingDirectory(root: Root, spec: ProcessSpec): string {
  if (!spec.cwd.startsWith('/')) throw pathError('KILN_CWD', spec.cwd, 'is not an absolute path');
  using places = sandboxPlaces(root, spec.mounts);
  const path = places.resolve(spec.cwd, 'KILN_CWD');
  if (isBelow(path, '/proc')) throw pathError('KILN_CWD', spec.cwd, 'leads into /proc');
  const mount = places.over(path);
  const shown = mount ? mount.root?.stat(path.slice(mount.target.length)) : root.stat(path);
  if (mount?.isFile || (shown && !isDirectory(shown)))
    throw pathError('KILN_CWD', spec.cwd, 'is not a directory');
  // Nothing is made inside a mount. The runtime reports a directory that is missing there.
  if (!mount && !shown) root.mkdirAll(path, 0o755, ({ dir, name }) => fchmodat(dir, name, 0o755));
  return path;
}

/**
 * Gives a tmpfs the mode of the directory that it covers, as runc does under BuildKit. A directory
 * inside another mount is not looked at.
 */
export function tmpfsModes(root: Root, mounts: readonly MountSpec[]): readonly MountSpec[] {
  return mounts.map((mount) => {
    if (mount.kind !== 'tmpfs' || mount.mode !== undefined) return mount;
    if (mounts.some(({ target }) => isBelow(mount.target, target))) return mount;
    const found = root.stat(mount.target);
    return found && isDirectory(found) ? { ...mount, mode: found.mode & 0o7777 } : mount;
  });
}

/**
 * Makes mount points for the mounts of `spec`. `isFile` says whether a mount's source is a file.
 */
export function makeMountPoints(
  root: Root,
  spec: ProcessSpec,
  isFile: (source: string) => boolean,
): Stubs {
  const files = new Set(['/etc/resolv.conf', '/etc/hosts']);
  for (const mount of spec.mounts)
    if (mount.kind === 'bind' && isFile(mount.source)) files.add(mount.target);
  return makeStubs(
    root,
    mountPoints(spec).map(
      (path): StubTarget => ({ path, kind: files.has(path) ? 'file' : 'directory' }),
    ),
  );
}

function makeDirectory(dir: number, name: string): void {
  mkdirat(dir, name, 0o755);
  fchmodat(dir, name, 0o755);
}

function isDirectory(stat: Stat): boolean {
  return (stat.mode & S.IFMT) === S.IFDIR;
}
