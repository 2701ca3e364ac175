import { statSync } from 'node:fs';
import type { KilnErrorCode } from '../base/codes.ts';
import { KilnError } from '../base/errors.ts';
import { S } from '../snapshotter/sys/constants.ts';
import { openRoot, type Root } from '../snapshotter/sys/rooted.ts';
import type { MountSpec } from './executor.ts';
import { isBelow } from './spec.ts';

/**
 * # Where a path of the sandbox really is
 *
 * A sandbox sees the tree of the image with mounts over it. A link in the tree may lead into a mount, one in a mount back into the tree,
 * and some into /proc, where the descriptors of the runtime lie, which are ways out (CVE-2024-21626). So a path is resolved here name by name,
 * each looked up in what will be mounted there. What comes out has no link in it; the runtime gets that, and follows none.
 */
export interface SandboxPlaces extends Disposable {
  /** `path` without links, absolute. Throws with `code` when the way leads through the descriptors of a process, or in a circle. */
  resolve(path: string, code: KilnErrorCode): string;
  /** What is mounted over `path`, which `resolve` answered; undefined when it is in the tree itself. */
  over(path: string): PlacedMount | undefined;
}

export interface PlacedMount {
  /** Where the mount really is. */
  readonly target: string;
  /** What a bind mount of a directory shows; undefined of files, of fresh and of kernel file systems. */
  readonly root: Root | undefined;
  /** It shows a single file. */
  readonly isFile: boolean;
}

/** As many links as the kernel follows in one path. */
const MAX_LINKS = 40;

/** The links that the runtime makes in a fresh /dev (runtime-linux.md, "Dev symbolic links"). */
const DEV_LINKS: Readonly<Record<string, string>> = {
  '/dev/fd': '/proc/self/fd',
  '/dev/stdin': '/proc/self/fd/0',
  '/dev/stdout': '/proc/self/fd/1',
  '/dev/stderr': '/proc/self/fd/2',
  '/dev/core': '/proc/kcore',
  '/dev/ptmx': 'pts/ptmx',
};

/** A process of the sandbox, the runtime among them: its descriptors, directories and root are links of the kernel's own. */
const PROCESS = /^\/proc\/(self|thread-self|\d+)(\/|$)/;

/** The places of a sandbox over `tree`, with the mounts in the order in which they are made. */
export function sandboxPlaces(tree: Root, mounts: readonly MountSpec[]): SandboxPlaces {
  const placed: PlacedMount[] = ['/proc', '/sys', '/dev'].map((target) => ({ target, root: undefined, isFile: false }));
  const places = new Places(tree, placed);
  try {
    for (const mount of mounts) {
      // A target may lie behind links of the tree or of an earlier mount.
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
    const todo = components(path).reverse();
    const done: string[] = [];
    for (let links = 0; todo.length > 0; ) {
      const part = todo.pop()!;
      if (part === '..') {
        done.pop();
        continue;
      }
      const at = `/${[...done, part].join('/')}`;
      if (PROCESS.test(at)) throw refusal(code, path, 'leads to the descriptors of a process, below /proc');
      const target = this.#linkAt(at);
      if (target === undefined) {
        done.push(part);
        continue;
      }
      if (++links > MAX_LINKS) throw refusal(code, path, 'leads through too many links');
      if (target.startsWith('/')) done.length = 0;
      todo.push(...components(target).reverse());
    }
    return `/${done.join('/')}`;
  }

  over(path: string): PlacedMount | undefined {
    // The last one counts: it covers what was mounted before at the same place or below.
    return this.#placed.findLast(({ target }) => path === target || isBelow(path, target));
  }

  /** The target when a link is at `path`, whose directory has no link in it. */
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

/** Sources are paths of ours, or descriptors. */
function rootOf(source: string): Root | undefined {
  return statSync(source, { throwIfNoEntry: false })?.isDirectory() ? openRoot(source) : undefined;
}

function components(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

function refusal(code: KilnErrorCode, path: string, why: string): KilnError {
  const isDirectory = code === 'KILN_CWD';
  return new KilnError(code, `the ${isDirectory ? 'working directory' : 'mount target'} ${path} ${why}`, {
    hint: isDirectory ? 'Change WORKDIR in the Dockerfile.' : 'Choose another target for the mount.',
  });
}
