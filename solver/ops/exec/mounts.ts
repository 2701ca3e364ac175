import { chmodSync, closeSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KilnError } from '../../../base/errors.ts';
import {
  type CacheLease,
  type CacheRequest,
  type CacheSharing,
  cacheName,
} from '../../../cache/mounts.ts';
import type { MountSpec } from '../../../executor/executor.ts';
import { resolveUser } from '../../../executor/user.ts';
import { type ActiveSnapshot, SCRATCH, type Snapshot } from '../../../snapshotter/snapshotter.ts';
import { fchownat } from '../../../snapshotter/sys/calls.ts';
import { AT } from '../../../snapshotter/sys/constants.ts';
import { openRoot } from '../../../snapshotter/sys/rooted.ts';
import { enumName } from '../../llb/enums.ts';
import type { ExecOp } from '../../llb/exec-op.ts';
import type { Mount } from '../../llb/mount.ts';
import { CACHE_SHARING, MOUNT_TYPE } from '../../llb/mount.ts';
import type { BuildResult, DirectoryResult } from '../../result.ts';
import type { StepSession } from '../../step-session.ts';
import type { World } from '../../world.ts';
import { cacheBase } from './cache-base.ts';
import { copySubtree, realSource } from './copy-subtree.ts';
import { secretMissing } from './secret-missing.ts';

/**
 * The mounts of an exec op. They stay open until they are disposed, after the process has ended.
 */
export interface OpenMounts extends AsyncDisposable {
  readonly root: string;
  readonly readonlyRoot: boolean;
  readonly specs: readonly MountSpec[];
  /** The requested size of /dev/shm in bytes; 0 for the default. */
  readonly shmSize: number;
  /** The writable trees that become outputs, in the order of the outputs. */
  readonly outputs: readonly ActiveSnapshot[];
}

/** The sharing modes, from the least to the most restrictive. */
const STRICT: readonly CacheSharing[] = ['shared', 'locked', 'private'];

/**
 * The output that a mount becomes; -1 for none. Only a bind mount can become one: other types leave
 * the field unset, which reads as 0.
 */
export function outputOf(mount: Mount): number {
  return (mount.mountType ?? MOUNT_TYPE.bind) === MOUNT_TYPE.bind ? mount.output : -1;
}

/** What opening the mounts of a step needs. */
export interface MountContext {
  readonly world: World;
  readonly session: StepSession;
  readonly signal: AbortSignal;
  /** True if cache mounts start empty. */
  readonly fresh: boolean;
}

/**
 * Opens all mounts of an exec op that `checkExec` has accepted. Rejects with KILN_SECRET_NOT_FOUND,
 * KILN_SSH_AGENT, KILN_MOUNT_SOURCE_MISSING or KILN_COPY_SOURCE_MISSING.
 */
export async function openMounts(
  op: ExecOp,
  inputs: readonly BuildResult[],
  context: MountContext,
): Promise<OpenMounts> {
  await using scope = new AsyncDisposableStack();
  const opener = new Opener(inputs, context, scope);
  await opener.leaseCaches(op.mounts);
  const outputs = new Map<number, ActiveSnapshot>();
  const keep = (mount: Mount, active: ActiveSnapshot | undefined) => {
    if (active && outputOf(mount) !== -1) outputs.set(outputOf(mount), active);
  };
  // `checkExec` makes sure that there is exactly one.
  const top = op.mounts.find(({ dest }) => dest === '/')!;
  const { root, active } = await opener.tree(top);
  keep(top, active);
  const user = stepUser(root, op.meta.user ?? '');
  let shmSize = 0;
  const specs: MountSpec[] = [];
  for (const mount of op.mounts) {
    if (mount === top) continue;
    if (mount.mountType === MOUNT_TYPE.tmpfs && mount.dest === '/dev/shm')
      shmSize = mount.tmpfs?.size ?? 0;
    else {
      const opened = await opener.open(mount, user);
      if (opened) specs.push(opened.spec);
      keep(mount, opened?.active);
    }
  }
  const held = scope.move();
  return {
    root,
    readonlyRoot: top.readonly === true,
    shmSize,
    specs,
    outputs: Array.from({ length: outputs.size }, (_, index) => outputs.get(index)!),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/**
 * The user of a step's process. It is looked up on the first call, since most steps have no mount
 * that depends on it.
 */
type StepUser = () => { readonly uid: number; readonly gid: number };

function stepUser(rootPath: string, name: string): StepUser {
  let found: ReturnType<StepUser> | undefined;
  return () => {
    if (found) return found;
    if (name === '') return { uid: 0, gid: 0 };
    using root = openRoot(rootPath);
    found = resolveUser(root, name);
    return found;
  };
}

interface Opened {
  readonly spec: MountSpec;
  readonly active?: ActiveSnapshot | undefined;
}

/** A tree, and the path in it that is mounted. */
interface MountTree {
  readonly root: string;
  readonly source: string;
  readonly active?: ActiveSnapshot;
}

/** Opens the mounts of one step. What it opens is closed with `scope`. */
class Opener {
  readonly #inputs: readonly BuildResult[];
  readonly #world: World;
  readonly #session: StepSession;
  readonly #signal: AbortSignal;
  readonly #scope: AsyncDisposableStack;
  readonly #fresh: boolean;
  readonly #caches = new Map<Mount, CacheLease>();

  constructor(
    inputs: readonly BuildResult[],
    { world, session, signal, fresh }: MountContext,
    scope: AsyncDisposableStack,
  ) {
    this.#fresh = fresh;
    this.#inputs = inputs;
    this.#world = world;
    this.#session = session;
    this.#signal = signal;
    this.#scope = scope;
  }

  /**
   * Opens a mount other than the root. Undefined if it is optional and there is nothing to mount.
   */
  async open(mount: Mount, user: StepUser): Promise<Opened | undefined> {
    const kind = mount.mountType ?? MOUNT_TYPE.bind;
    switch (kind) {
      case MOUNT_TYPE.tmpfs:
        return { spec: { kind: 'tmpfs', target: mount.dest, size: mount.tmpfs?.size ?? 0 } };
      case MOUNT_TYPE.secret:
        return await this.#secret(mount, user);
      case MOUNT_TYPE.ssh:
        return await this.#ssh(mount, user);
      case MOUNT_TYPE.cache:
        return await this.#cache(mount);
      case MOUNT_TYPE.bind:
        return await this.#bind(mount);
      default:
        // `checkExec` refuses all others.
        throw new TypeError(`no mount type: ${kind satisfies never}`);
    }
  }

  /**
   * The tree of a bind mount or of the root: a read-only view if the step cannot write to it,
   * otherwise a new writable layer.
   */
  async tree(mount: Mount): Promise<MountTree> {
    const input = mount.input === -1 ? undefined : this.#inputs[mount.input];
    const source = mount.selector || '/';
    if (input?.kind === 'directory') return await this.#copied(input, source);
    const snapshot: Snapshot = input?.snapshot ?? SCRATCH;
    if (mount.readonly && outputOf(mount) === -1)
      return { root: this.#scope.use(await this.#world.snapshotter.view(snapshot)).root, source };
    const active = this.#scope.use(await this.#world.snapshotter.prepare(snapshot));
    return { root: active.root, source, active };
  }

  /**
   * Local directories are not mounted directly. The step gets a copy of the part it mounts, owned
   * by root and without ignored files.
   */
  async #copied(input: DirectoryResult, path: string): Promise<MountTree> {
    const active = this.#scope.use(await this.#world.snapshotter.prepare(SCRATCH));
    const source = realSource(input, path);
    await copySubtree(input, source, active.root, this.#world, this.#signal);
    return { root: active.root, source, active };
  }

  async #bind(mount: Mount): Promise<Opened> {
    const { root, source: path, active } = await this.tree(mount);
    const source = this.#inside(root, path);
    return {
      spec: { kind: 'bind', source, target: mount.dest, readonly: mount.readonly === true },
      active,
    };
  }

  /**
   * A path that the kernel resolves to exactly the file that `path` is inside `root`, even if
   * something is renamed later: it goes through an open descriptor of this process.
   */
  #inside(rootPath: string, path: string): string {
    if (path === '/' || path === '') return rootPath;
    using root = openRoot(rootPath);
    const fd = root.find(path);
    if (fd === undefined)
      throw new KilnError(
        'KILN_MOUNT_SOURCE_MISSING',
        `the source of a mount does not exist: ${JSON.stringify(path)}`,
        {
          hint: 'check source= and from= of the mount',
        },
      );
    this.#scope.defer(() => closeSync(fd));
    return `/proc/${process.pid}/fd/${fd}`;
  }

  /**
   * Leases all caches of the step. All steps lease in the same order, so that two steps never wait
   * for each other. If a cache is mounted twice, the more restrictive sharing counts.
   */
  async leaseCaches(mounts: readonly Mount[]): Promise<void> {
    const requests = await Promise.all(
      mounts
        .filter(({ mountType }) => mountType === MOUNT_TYPE.cache)
        .map(async (mount) => {
          const request = await this.#cacheRequest(mount);
          return { mount, request, name: cacheName(request) };
        }),
    );
    const strict = (request: CacheRequest) => STRICT.indexOf(request.sharing);
    const leases = new Map<string, CacheLease>();
    for (const { mount, request, name } of requests.sort(
      (a, b) => compare(a.name, b.name) || strict(b.request) - strict(a.request),
    )) {
      const lease =
        leases.get(name) ?? this.#scope.use(await this.#world.caches.lease(request, this.#signal));
      leases.set(name, lease);
      this.#caches.set(mount, lease);
    }
  }

  async #cacheRequest(mount: Mount): Promise<CacheRequest> {
    const base = mount.input === -1 ? undefined : this.#inputs[mount.input];
    return {
      id: mount.cache?.id ?? mount.dest,
      sharing: enumName(CACHE_SHARING, mount.cache?.sharing ?? CACHE_SHARING.shared) ?? 'shared',
      base: base === undefined ? '' : await cacheBase(base, this.#world, this.#signal),
      fresh: this.#fresh,
      fill: async (directory) => {
        if (base) await copySubtree(base, '/', directory, this.#world, this.#signal);
      },
    };
  }

  async #cache(mount: Mount): Promise<Opened> {
    const lease = this.#caches.get(mount)!;
    const source = this.#inside(lease.directory, mount.selector || '/');
    return {
      spec: { kind: 'bind', source, target: mount.dest, readonly: mount.readonly === true },
    };
  }

  async #secret(mount: Mount, user: StepUser): Promise<Opened | undefined> {
    const { id, optional, ...access } = mount.secret ?? {
      id: '',
      uid: 0,
      gid: 0,
      mode: 0o400,
      optional: false,
    };
    const bytes = await this.#session.secret(id);
    if (!bytes) {
      if (optional) return undefined;
      throw secretMissing(id);
    }
    const { uid, gid } = ownerOf(access, user);
    const source = join(this.#scope.use(this.#world.secretDirectory()).path, 'secret');
    writeFileSync(source, bytes, { mode: 0o600 });
    fchownat(AT.FDCWD, source, uid, gid);
    chmodSync(source, access.mode & 0o777);
    return { spec: { kind: 'bind', source, target: mount.dest, readonly: true } };
  }

  async #ssh(mount: Mount, user: StepUser): Promise<Opened | undefined> {
    const { id, optional, ...access } = mount.ssh ?? {
      id: '',
      uid: 0,
      gid: 0,
      mode: 0o600,
      optional: false,
    };
    const name = id || 'default';
    const agent = await this.#session.sshSocket(name, {
      ...ownerOf(access, user),
      mode: access.mode,
    });
    if (agent) {
      const { socket } = this.#scope.use(agent);
      return { spec: { kind: 'bind', source: socket, target: mount.dest, readonly: true } };
    }
    if (optional) return undefined;
    throw new KilnError(
      'KILN_SSH_AGENT',
      `the step needs the ssh agent ${JSON.stringify(name)}, which was not given`,
      {
        hint:
          `build with --ssh ${name} for the agent of SSH_AUTH_SOCK, or --ssh ${name}=PATH for ` +
          'a socket or a key',
      },
    );
  }
}

/**
 * The owner of a secret or a socket. One that is not given (0 in the graph) is the user of the
 * step: otherwise a step with USER could not read its own secret. Root can read it in any case.
 */
function ownerOf(
  { uid, gid }: { readonly uid: number; readonly gid: number },
  user: StepUser,
): { uid: number; gid: number } {
  return { uid: uid || user().uid, gid: gid || user().gid };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
