import { chmodSync, chownSync, closeSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KilnError } from '../../../base/errors.ts';
import type { CacheSharing } from '../../../cache/mounts.ts';
import type { MountSpec } from '../../../executor/executor.ts';
import { type ActiveSnapshot, SCRATCH, type Snapshot } from '../../../snapshotter/snapshotter.ts';
import { openRoot } from '../../../snapshotter/sys/rooted.ts';
import type { ExecOp, Mount } from '../../llb/ops.ts';
import type { BuildResult } from '../../result.ts';
import type { World } from '../../world.ts';
import { copyTree } from './copied.ts';
import { secretMissing } from './process.ts';

/** Everything an exec op mounts, held open until its process has ended. */
export interface OpenMounts extends AsyncDisposable {
  readonly root: string;
  readonly readonlyRoot: boolean;
  readonly specs: readonly MountSpec[];
  /** Size asked for /dev/shm in bytes; 0 for the usual one. */
  readonly shmSize: number;
  /** The writable trees that become outputs, in their order. */
  readonly outputs: readonly ActiveSnapshot[];
}

const BIND = 0;
const SECRET = 1;
const SSH = 2;
const CACHE = 3;
const TMPFS = 4;
const SHARING: readonly CacheSharing[] = ['shared', 'private', 'locked'];

/** The output that a mount becomes; -1 for none. Only a bind mount becomes one: others leave the field unset, which reads as 0. */
export function outputOf(mount: Mount): number {
  return (mount.mountType ?? BIND) === BIND ? mount.output : -1;
}

export async function openMounts(
  op: ExecOp,
  inputs: readonly BuildResult[],
  world: World,
  signal: AbortSignal,
): Promise<OpenMounts> {
  await using scope = new AsyncDisposableStack();
  const opener = new Opener(inputs, world, signal, scope);
  let root = '';
  let readonlyRoot = false;
  let shmSize = 0;
  const specs: MountSpec[] = [];
  const outputs = new Map<number, ActiveSnapshot>();
  for (const mount of op.mounts) {
    if (mount.dest === '/') {
      const opened = await opener.tree(mount);
      root = opened.root;
      readonlyRoot = mount.readonly === true;
      if (opened.active && outputOf(mount) !== -1) outputs.set(outputOf(mount), opened.active);
    } else if (mount.mountType === TMPFS && mount.dest === '/dev/shm') {
      shmSize = mount.tmpfs?.size ?? 0;
    } else {
      const opened = await opener.open(mount);
      if (opened) specs.push(opened.spec);
      if (opened?.active && outputOf(mount) !== -1) outputs.set(outputOf(mount), opened.active);
    }
  }
  const held = scope.move();
  return {
    root,
    readonlyRoot,
    shmSize,
    specs,
    outputs: Array.from({ length: outputs.size }, (_, index) => outputs.get(index)!),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

interface Opened {
  readonly spec: MountSpec;
  readonly active?: ActiveSnapshot | undefined;
}

class Opener {
  readonly #inputs: readonly BuildResult[];
  readonly #world: World;
  readonly #signal: AbortSignal;
  readonly #scope: AsyncDisposableStack;

  constructor(inputs: readonly BuildResult[], world: World, signal: AbortSignal, scope: AsyncDisposableStack) {
    this.#inputs = inputs;
    this.#world = world;
    this.#signal = signal;
    this.#scope = scope;
  }

  /** A mount other than the root; undefined when it is optional and there is nothing to mount. */
  async open(mount: Mount): Promise<Opened | undefined> {
    switch (mount.mountType ?? BIND) {
      case TMPFS:
        return { spec: { kind: 'tmpfs', target: mount.dest, size: mount.tmpfs?.size ?? 0 } };
      case SECRET:
        return await this.#secret(mount);
      case SSH:
        if (mount.ssh?.optional) return undefined;
        throw new KilnError(
          'KILN_SSH_UNSUPPORTED',
          `the step needs the ssh agent ${JSON.stringify(mount.ssh?.id)}: ssh forwarding is not supported yet`,
        );
      case CACHE:
        return await this.#cache(mount);
      default:
        return await this.#bind(mount);
    }
  }

  /** The tree of a bind mount or the root: a view when nothing is written, else a writable layer of its own. */
  async tree(mount: Mount): Promise<{ readonly root: string; readonly active?: ActiveSnapshot }> {
    const input = mount.input === -1 ? undefined : this.#inputs[mount.input];
    if (input?.kind === 'directory') return await this.#copied(input, mount);
    const snapshot: Snapshot = input?.snapshot ?? SCRATCH;
    if (mount.readonly && outputOf(mount) === -1)
      return { root: this.#scope.use(await this.#world.snapshotter.view(snapshot)).root };
    const active = this.#scope.use(await this.#world.snapshotter.prepare(snapshot));
    return { root: active.root, active };
  }

  /** A local directory is never mounted itself: the step sees a copy of what it asked for, owned by root, without what is ignored. */
  async #copied(input: BuildResult & { kind: 'directory' }, mount: Mount): Promise<{ root: string; active: ActiveSnapshot }> {
    const active = this.#scope.use(await this.#world.snapshotter.prepare(SCRATCH));
    await copyTree(input, mount.selector || '/', active.root, this.#world, this.#signal);
    return { root: active.root, active };
  }

  async #bind(mount: Mount): Promise<Opened> {
    const { root, active } = await this.tree(mount);
    const source = this.#inside(root, mount.selector || '/');
    return { spec: { kind: 'bind', source, target: mount.dest, readonly: mount.readonly === true }, active };
  }

  /** A path by which the kernel finds exactly what `path` is inside `root`, whatever is renamed later: a descriptor of ours. */
  #inside(rootPath: string, path: string): string {
    if (path === '/' || path === '') return rootPath;
    using root = openRoot(rootPath);
    const fd = root.find(path);
    if (fd === undefined)
      throw new KilnError('KILN_MOUNT_SOURCE_MISSING', `the source of a mount does not exist: ${JSON.stringify(path)}`, {
        hint: 'check source= and from= of the mount',
      });
    this.#scope.defer(() => closeSync(fd));
    return `/proc/${process.pid}/fd/${fd}`;
  }

  async #cache(mount: Mount): Promise<Opened> {
    const base = mount.input === -1 ? undefined : this.#inputs[mount.input];
    const lease = this.#scope.use(
      await this.#world.caches.lease(
        {
          id: mount.cache?.id ?? mount.dest,
          sharing: SHARING[mount.cache?.sharing ?? 0] ?? 'shared',
          base: base?.kind === 'snapshot' ? base.snapshot.layers.join(' ') : '',
          fill: async (directory) => {
            if (base) await copyTree(base, '/', directory, this.#world, this.#signal);
          },
        },
        this.#signal,
      ),
    );
    const source = this.#inside(lease.directory, mount.selector || '/');
    return { spec: { kind: 'bind', source, target: mount.dest, readonly: mount.readonly === true } };
  }

  async #secret(mount: Mount): Promise<Opened | undefined> {
    const { id, uid, gid, mode, optional } = mount.secret ?? { id: '', uid: 0, gid: 0, mode: 0o400, optional: false };
    const bytes = await this.#world.secret(id);
    if (!bytes) {
      if (optional) return undefined;
      throw secretMissing(id);
    }
    const source = join(this.#scope.use(this.#world.secretDirectory()).path, 'secret');
    writeFileSync(source, bytes, { mode: 0o600 });
    chownSync(source, uid, gid);
    chmodSync(source, mode & 0o777);
    return { spec: { kind: 'bind', source, target: mount.dest, readonly: true } };
  }
}
