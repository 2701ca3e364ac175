import { statSync } from 'node:fs';
import type { KilnErrorCode } from '../base/codes.ts';
import { KilnError } from '../base/errors.ts';
import { resolveLinks } from '../base/links.ts';
import { S } from '../snapshotter/sys/constants.ts';
import { openRoot, type Root } from '../snapshotter/sys/rooted.ts';
import type { MountSpec } from './executor.ts';
import { isBelow, KERNEL_TREES } from './mount-points.ts';

/**
 * # Where a path of the sandbox really is
 *
 * A sandbox sees the tree of the image with mounts over it. A symbolic link in the tree may lead
 * into a mount, and one in a mount may lead back into the tree. Some links lead into /proc, where
 * the runtime's descriptors are ways out of the sandbox (CVE-2024-21626). So a path is resolved
 * here name by name, each in the mount that will cover it. The resulting path has no link in it.
 * The runtime gets that path and follows no link.
 */
export interface SandboxPlaces extends Disposable {
  /**
   * Resolves `path` to an absolute path without links. Throws `code` when the path leads through
   * the descriptors of a process, or in a circle.
   */
  resolve(path: string, code: KilnErrorCode): string;
  /**
   * The mount that covers `path`, a result of `resolve`. Undefined when the path is in the tree
   * itself.
   */
  over(path: string): PlacedMount | undefined;
}

export interface PlacedMount {
  /** The resolved target of the mount. */
  readonly target: string;
  /**
   * The directory that a bind mount shows. Undefined for files, and for fresh and kernel file
   * systems.
   */
  readonly root: Root | undefined;
  /** True when the mount shows a single file. */
  readonly isFile: boolean;
}

/** The links that the runtime makes in a fresh /dev (runtime-linux.md, "Dev symbolic links"). */
const DEV_LINKS: Readonly<Record<string, string>> = {
  '/dev/fd': '/proc/self/fd',
  '/dev/stdin': '/proc/self/fd/0',
  '/dev/stdout': '/proc/self/fd/1',
  '/dev/stderr': '/proc/self/fd/2',
  '/dev/core': '/proc/kcore',
  '/dev/ptmx': 'pts/ptmx',
};

/**
 * A process of the sandbox, or the runtime. Its descriptors, directories and root are links made by
 * the kernel.
 */
const PROCESS = /^\/proc\/(self|thread-self|\d+)(\/|$)/;

/** The places of a sandbox over `tree`. `mounts` are in the order in which they are made. */
export function sandboxPlaces(tree: Root, mounts: readonly MountSpec[]): SandboxPlaces {
  const placed: PlacedMount[] = KERNEL_TREES.map((target) => ({
    target,
    root: undefined,
    isFile: false,
  }));
  const places = new Places(tree, placed);
  try {
    for (const mount of mounts) {
      // The target may be behind links of the tree or of an earlier mount.
      const target = places.resolve(mount.target, 'KILN_MOUNT_TARGET');
      const root = mount.kind === 'bind' ? rootOf(mount.source) : undefined;
      placed.push({ target, root, isFile: mount.kind === 'bind' && !root });
    }
    return places;
  } catch (error) {
    places[Symbol.dispose]();
    throw error;
  }
}

class Places implements SandboxPlaces {
  readonly #tree: Root;
  readonly #placed: readonly PlacedMount[];

  constructor(tree: Root, placed: readonly PlacedMount[]) {
    this.#tree = tree;
    this.#placed = placed;
  }

  resolve(path: string, code: KilnErrorCode): string {
    const targetOf = (at: string) => {
      if (PROCESS.test(`/${at}`))
        throw pathError(code, path, 'leads to the descriptors of a process, below /proc');
      return this.#linkAt(`/${at}`);
    };
    const tooMany = () => pathError(code, path, 'leads through too many links');
    return `/${resolveLinks(path, targetOf, tooMany)}`;
  }

  over(path: string): PlacedMount | undefined {
    // The last matching mount wins: it covers earlier ones at the same place or below.
    return this.#placed.findLast(({ target }) => path === target || isBelow(path, target));
  }

  /**
   * The target of the link at `path`, or undefined when it is not a link. The directory of `path`
   * is already resolved.
   */
  #linkAt(path: string): string | undefined {
    const mount = this.over(path);
    if (!mount) return linkIn(this.#tree, path);
    if (path === mount.target) return undefined;
    if (mount.root) return linkIn(mount.root, path.slice(mount.target.length));
    return mount.target === '/dev' ? DEV_LINKS[path] : undefined;
  }

  [Symbol.dispose](): void {
    for (const { root } of this.#placed) root?.[Symbol.dispose]();
  }
}

function linkIn(root: Root, path: string): string | undefined {
  const stat = root.stat(path, { follow: false });
  return stat && (stat.mode & S.IFMT) === S.IFLNK ? root.readlink(path) : undefined;
}

/** Sources are trusted paths, or descriptors. */
function rootOf(source: string): Root | undefined {
  return statSync(source, { throwIfNoEntry: false })?.isDirectory() ? openRoot(source) : undefined;
}

/** The error of a working directory (KILN_CWD), or of the target of a mount. */
export function pathError(code: KilnErrorCode, path: string, why: string): KilnError {
  const isDirectory = code === 'KILN_CWD';
  return new KilnError(
    code,
    `the ${isDirectory ? 'working directory' : 'mount target'} ${path} ${why}`,
    {
      hint: isDirectory
        ? 'Change WORKDIR in the Dockerfile.'
        : 'Choose another target for the mount.',
    },
  );
}
