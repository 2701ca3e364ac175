import {
  closeSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { posix } from 'node:path';
import { CancelledError } from '../base/errors.ts';
import { MOUNT_ATTR } from '../snapshotter/sys/constants.ts';
import { mountMemory } from '../snapshotter/sys/memory.ts';
import {
  changeMount,
  cloneMount,
  createMount,
  type DetachedMount,
  unmount,
} from '../snapshotter/sys/mount.ts';
import { openRoot } from '../snapshotter/sys/rooted.ts';
import type { Placement } from './cgroups.ts';
import type { EmulationPlan } from './emulation/emulation.ts';
import { hostOomKills } from './enter-cgroups.ts';
import type { ProcessIO, ProcessResult, ProcessSpec } from './executor.ts';
import { within } from './network/namespace.ts';
import { OtherProcesses } from './other-processes.ts';
import {
  removeState,
  type Sandbox,
  type StartedProcess,
  superviseRuntime,
  throwStartFailure,
} from './runtime-process.ts';
import {
  type JoinedNetwork,
  type JoinedSandboxHost,
  joinNetwork,
  networkFiles,
  type SandboxHost,
} from './sandbox-host.ts';
import {
  makeKernelTrees,
  makeMountPoints,
  makeWorkingDirectory,
  tmpfsModes,
} from './sandbox-tree.ts';
import { deviceMounts, runtimeConfig } from './spec.ts';
import { inState } from './state-files.ts';
import { type ResolvedUser, resolveUser } from './user.ts';

/** A process, and how its programs are run. */
export interface PlannedSpec extends ProcessSpec {
  readonly plan: EmulationPlan;
}

/**
 * Runs one process in a sandbox of its own, and waits until everything in the sandbox has ended.
 * Rejects with a CancelledError after `signal` was aborted.
 */
export async function runSandbox(
  opened: SandboxHost,
  request: PlannedSpec,
  io: ProcessIO,
  signal: AbortSignal,
): Promise<ProcessResult> {
  if (signal.aborted) throw new CancelledError(signal.reason);
  using scope = new DisposableStack();
  // The networks of steps that wait for the group are made meanwhile. Both come before anything is
  // made in the tree, because others may use the tree during this wait.
  const [joined, leased] = await Promise.allSettled([
    opened.join(),
    joinNetwork(opened, request, scope),
  ]);
  const [host, network] = [resultOf(joined), resultOf(leased)];
  const spec = withEmulator(withCleanTargets(withDevices(request, host.cgroups.guardDevices)));
  if (signal.aborted) throw new CancelledError(signal.reason);
  using root = openRoot(spec.rootfs);
  const user = resolveUser(root, spec.user);
  makeKernelTrees(root);
  const moded = {
    ...spec,
    mounts: tmpfsModes(root, spec.mounts),
    cwd: makeWorkingDirectory(root, spec),
  };
  using stubs = makeMountPoints(root, spec, isFile);
  try {
    return await runBundle(host, moded, { user, network }, io, signal);
  } finally {
    stubs.remove();
  }
}

function resultOf<T>(settled: PromiseSettledResult<T>): T {
  if (settled.status === 'rejected') throw settled.reason;
  return settled.value;
}

function withDevices(spec: PlannedSpec, guardDevices: boolean): PlannedSpec {
  return spec.devices?.length
    ? { ...spec, mounts: [...spec.mounts, ...deviceMounts(spec, guardDevices)] }
    : spec;
}

/** Runs one sandbox, from making its bundle directory to removing it. */
async function runBundle(
  host: JoinedSandboxHost,
  spec: PlannedSpec,
  { user, network }: Pick<Surroundings, 'user' | 'network'>,
  io: ProcessIO,
  signal: AbortSignal,
): Promise<ProcessResult> {
  const id = host.nextId();
  const bundle = `${host.directory}/${id}`;
  inState(host.directory, () => mkdirSync(bundle, { mode: 0o700 }));
  // Secrets may also come with another process, which is started later.
  const mayHaveSecrets = (spec.secretEnv ?? []).length > 0 || io.onStart !== undefined;
  const inMemory = mayHaveSecrets && isOnDisk(host.directory);
  const place = host.cgroups.place(id, {
    own: spec.security === 'insecure' || (spec.devices ?? []).some(({ nodes }) => nodes.length > 0),
    parent: spec.cgroupParent,
    limits: spec.limits,
  });
  using scope = new DisposableStack();
  // This also covers a runtime that was never started. A second call does nothing.
  scope.defer(() => void place.finish());
  scope.defer(() => rmSync(bundle, { recursive: true, force: true }));
  if (inMemory) {
    mountMemory(bundle, '16m');
    scope.defer(() => unmount(bundle));
  }
  const staged = stageMounts(host, spec, bundle, scope);
  const sysfs = spec.plan.kind === 'private' ? stageSysfs(network, bundle, scope) : undefined;
  const config = configFor(host, staged, { user, place, io, network, sysfs });
  inState(host.directory, () => writeFileSync(`${bundle}/config.json`, config, { mode: 0o600 }));
  // The runtime copies the config into its state directory.
  const state = inMemory ? `${bundle}/runtime` : host.runtimeRoot;
  const result = await supervise(host, { id, bundle, state, place }, spec, io, signal);
  return spec.plan.kind === 'native'
    ? result
    : { ...result, emulator: posix.basename(spec.plan.emulator) };
}

const IN_MEMORY = [0x01021994, 0x858458f6];

/** True when the file system is neither tmpfs nor ramfs (statfs(2)). */
function isOnDisk(path: string): boolean {
  return !IN_MEMORY.includes(statfsSync(path).type);
}

interface Surroundings {
  readonly user: ResolvedUser;
  readonly place: Placement;
  readonly io: ProcessIO;
  readonly network: JoinedNetwork;
  readonly sysfs: string | undefined;
}

function configFor(
  host: JoinedSandboxHost,
  spec: PlannedSpec,
  { user, place, io, network, sysfs }: Surroundings,
): string {
  return runtimeConfig(spec, {
    user,
    network: network.namespace,
    ...networkFiles(host, spec, network),
    cgroupsPath: place.path,
    ownGroups: place.groups,
    resources: place.resources,
    cgroupMount: host.cgroups.mode !== 'none',
    guardDevices: host.cgroups.guardDevices,
    seccompBpf: host.seccompBpf,
    warn: io.warn ?? host.warnings.warn,
    terminal: io.lent?.terminal ?? false,
    sysfs,
    userNamespace: spec.plan.kind === 'private' ? spec.plan.userNamespace : undefined,
  });
}

/**
 * Runs the first process of a sandbox, waits until everything in the sandbox has ended, and says
 * how it ended.
 */
async function supervise(
  host: JoinedSandboxHost,
  sandbox: Sandbox,
  spec: PlannedSpec,
  io: ProcessIO,
  signal: AbortSignal,
): Promise<ProcessResult> {
  const oomBefore = hostOomKills();
  const others = new OtherProcesses(host, sandbox, spec);
  const onStart = io.onStart && ((started: StartedProcess) => io.onStart?.(others.beside(started)));
  const first = { sandbox, verb: 'run', suffix: '', onStart } as const;
  const exit = await superviseRuntime(host, first, io, signal);
  const { code } = exit;
  await others.ended();
  await removeState(host, sandbox);
  const counters = sandbox.place.finish();
  if (signal.aborted) throw new CancelledError(signal.reason);
  if (code !== 0) throwStartFailure(first, spec.args);
  // Without a counter for this process alone, the counter of the whole host decides.
  const oomKilled =
    counters.oomKills === undefined
      ? code === 137 && hostOomKills() > oomBefore
      : counters.oomKills > 0;
  const usage = {
    cpuMs: counters.cpuMs ?? exit.cpuMs,
    peakMemory: counters.peakMemory ?? exit.peakMemory,
  };
  return { exitCode: code, oomKilled, usage };
}

/**
 * Changes the mount sources of the spec that the runtime cannot use directly. They are mounted
 * below `bundle` until `scope` ends.
 */
function stageMounts(
  host: JoinedSandboxHost,
  spec: PlannedSpec,
  bundle: string,
  scope: DisposableStack,
): PlannedSpec {
  const { guardDevices } = host.cgroups;
  const rootfs = guardDevices
    ? stage(spec.rootfs, `${bundle}/rootfs`, scope, MOUNT_ATTR.NODEV)
    : spec.rootfs;
  const mounts = spec.mounts.map((mount, at) =>
    mount.kind === 'bind' && DESCRIPTOR.test(mount.source)
      ? { ...mount, source: stage(mount.source, `${bundle}/${at}`, scope) }
      : mount,
  );
  return { ...spec, rootfs, mounts };
}

/**
 * A source by descriptor, which belongs to this process's mount namespace. A bind mount of it from
 * inside the sandbox's own namespace would be refused.
 */
const DESCRIPTOR = /^\/proc\/(self|\d+)\/fd\/\d+$/;

function stage(source: string, path: string, scope: DisposableStack, attributes = 0): string {
  if (isFile(source)) writeFileSync(path, '', { mode: 0o600 });
  else mkdirSync(path, { mode: 0o700 });
  using copy = cloneMount(source, { recursive: true });
  if (attributes !== 0) changeMount(copy.fd, { set: attributes, recursive: true });
  copy.attach(path);
  // The mount is removed before the bundle, because the stack unwinds from the top.
  scope.defer(() => unmount(path));
  return path;
}

/**
 * Mounts a sysfs for the sandbox. A sysfs shows the network namespace in which it is mounted, and
 * the mount needs rights over that namespace. The user namespace of an emulation has such rights
 * only over a network that the runtime makes alone. This is a fresh mount, because the host's /sys
 * has other file systems below it.
 */
function stageSysfs(
  { namespace }: JoinedNetwork,
  bundle: string,
  scope: DisposableStack,
): string | undefined {
  if (namespace === 'none') return undefined;
  const path = `${bundle}/sys`;
  mkdirSync(path, { mode: 0o700 });
  using sysfs = namespace === 'host' ? newSysfs() : sysfsOf(namespace.path);
  sysfs.attach(path);
  scope.defer(() => unmount(path));
  return path;
}

function sysfsOf(network: string): DetachedMount {
  const fd = openSync(network, 'r');
  try {
    return within(fd, newSysfs);
  } finally {
    closeSync(fd);
  }
}

function newSysfs(): DetachedMount {
  return createMount(
    'sysfs',
    [],
    MOUNT_ATTR.RDONLY | MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOEXEC,
  );
}

/**
 * Normalises mount targets as the mount table will show them: absolute, without `.`, `..` and
 * doubled slashes.
 */
function withCleanTargets(spec: PlannedSpec): PlannedSpec {
  const clean = (path: string) => posix.resolve('/', path);
  return {
    ...spec,
    mounts: spec.mounts.map((mount) => ({ ...mount, target: clean(mount.target) })),
  };
}

/** Mounts the emulator into the sandbox when the kernel looks for it there. */
function withEmulator(spec: PlannedSpec): PlannedSpec {
  if (spec.plan.kind !== 'host' || !spec.plan.mountEmulator) return spec;
  const { emulator } = spec.plan;
  return {
    ...spec,
    mounts: [{ kind: 'bind', source: emulator, target: emulator, readonly: true }, ...spec.mounts],
  };
}

function isFile(path: string): boolean {
  return !statSync(path).isDirectory();
}
