import { idRanges, inUserNamespace, mappedIds } from '../snapshotter/sys/usernamespace.ts';
import { hostCapabilities, sandboxCapabilities } from './capabilities.ts';
import type { DeviceEdits, DeviceNode } from './cdi/edits.ts';
import { visibleHierarchies } from './cgroup-files.ts';
import type { MountSpec, OtherProcess, ProcessSpec } from './executor.ts';
import { isBelow } from './mount-points.ts';
import { rlimitsOf } from './rlimits.ts';
import { defaultSeccomp, type SeccompProfile } from './seccomp.ts';
import type { ResolvedUser } from './user.ts';

/** What the host adds to a ProcessSpec. */
export interface SpecContext {
  readonly user: ResolvedUser;
  /** The network namespace: the host's, a new one, or the one at a path. */
  readonly network: 'host' | 'none' | { readonly path: string };
  /** Host paths of the files that the sandbox sees as /etc/hosts and /etc/resolv.conf. */
  readonly hosts: string;
  readonly resolvConf: string;
  /** `linux.cgroupsPath`. Absent where the runtime makes no cgroup. */
  readonly cgroupsPath?: string | undefined;
  /** See `Placement`. */
  readonly ownGroups?: ReadonlyMap<string, string> | undefined;
  /** Limits that the runtime sets: `linux.resources`. */
  readonly resources?: Readonly<Record<string, unknown>> | undefined;
  /** False where a cgroup file system cannot be mounted. */
  readonly cgroupMount: boolean;
  /**
   * True when this spec alone must keep the process from opening devices by number (see
   * cgroups.ts).
   */
  readonly guardDevices: boolean;
  /** The compiled default seccomp profile, in base64. */
  readonly seccompBpf?: string | undefined;
  readonly terminal: boolean;
  /** `/proc/PID/ns/user` of the user namespace in which the sandbox's programs are emulated. */
  readonly userNamespace?: string | undefined;
  /** A mounted sysfs to show where the sandbox may not mount one. */
  readonly sysfs?: string | undefined;
  readonly warn?: ((sentence: string) => void) | undefined;
}

interface Mount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

const MASKED_PATHS = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];

const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

const UMASK = 0o022;
const DEFAULT_SHM = 64 << 20;
const NO_DEVICE_NO_EXEC = ['nosuid', 'noexec', 'nodev'];

/**
 * Makes crun use this BPF program instead of compiling `linux.seccomp`. The profile stays in the
 * config for a runtime that ignores the annotation.
 */
const BPF_ANNOTATION = 'run.oci.seccomp_bpf_data';

/** The OCI runtime configuration (runtime-spec config.md) of one process, as JSON text. */
export function runtimeConfig(spec: ProcessSpec, context: SpecContext): string {
  const insecure = spec.security === 'insecure';
  const seccomp = insecure ? undefined : seccompFor(capabilitiesOf(spec, context));
  const devices = spec.devices ?? [];
  const nodes = madeNodes(spec, context.guardDevices);
  return JSON.stringify({
    ociVersion: '1.0.2',
    process: processConfig(spec, context),
    root: { path: spec.rootfs, readonly: spec.readonlyRootfs },
    hostname: spec.hostname,
    mounts: mountsOf(spec, context),
    ...hooksOf(devices),
    ...(seccomp && context.seccompBpf !== undefined
      ? { annotations: { [BPF_ANNOTATION]: context.seccompBpf } }
      : {}),
    linux: {
      namespaces: namespacesOf(context),
      ...(context.userNamespace === undefined ? {} : idMappings()),
      ...(context.cgroupsPath === undefined ? {} : { cgroupsPath: context.cgroupsPath }),
      ...(context.guardDevices
        ? {}
        : {
            resources: {
              ...context.resources,
              devices: [{ allow: insecure, access: 'rwm' }, ...nodes.map(accessRule)],
            },
          }),
      ...(nodes.length === 0 ? {} : { devices: nodes.map(deviceNode) }),
      ...(seccomp ? { seccomp } : {}),
      ...(insecure
        ? {}
        : {
            // Where none are mounted for the sandbox, it would see the control groups of the host.
            maskedPaths: context.cgroupMount ? MASKED_PATHS : [...MASKED_PATHS, '/sys/fs/cgroup'],
            readonlyPaths: READONLY_PATHS,
          }),
    },
  });
}

/** The process of a sandbox, or another one that is started in it: `process` of the config. */
export function processConfig(
  spec: Pick<ProcessSpec, 'security' | 'devices'> & OtherProcess,
  context: Pick<SpecContext, 'user' | 'terminal' | 'guardDevices' | 'warn'>,
): object {
  const { user, terminal, warn } = context;
  const capabilities = capabilitiesOf(spec, context);
  const devices = spec.devices ?? [];
  return {
    terminal,
    user: {
      uid: user.uid,
      gid: user.gid,
      additionalGids: [
        ...new Set([...user.additionalGids, ...devices.flatMap(({ groups }) => groups)]),
      ],
      umask: UMASK,
    },
    args: spec.args,
    env: withHome(
      [...spec.env, ...(spec.secretEnv ?? []), ...devices.flatMap(({ env }) => env)],
      user.home,
    ),
    cwd: spec.cwd,
    // The inheritable and ambient sets stay empty (CVE-2022-27651).
    capabilities: {
      bounding: capabilities,
      effective: capabilities,
      permitted: capabilities,
      inheritable: [],
      ambient: [],
    },
    rlimits: rlimitsOf(spec.ulimits, warn).map(({ type, soft, hard }) => ({
      type,
      soft: rlim(soft),
      hard: rlim(hard),
    })),
    // As with BuildKit, so that sudo and ping work in a RUN.
    noNewPrivileges: false,
  };
}

function capabilitiesOf(
  { security }: Pick<ProcessSpec, 'security'>,
  { guardDevices }: Pick<SpecContext, 'guardDevices'>,
): readonly string[] {
  return security === 'insecure' ? hostCapabilities() : sandboxCapabilities(guardDevices);
}

/** The device nodes that the runtime makes in the sandbox's own /dev. */
function madeNodes(spec: ProcessSpec, guardDevices: boolean): readonly DeviceNode[] {
  return guardDevices
    ? []
    : (spec.devices ?? [])
        .flatMap(({ nodes }) => nodes)
        .filter(({ path }) => isBelow(path, '/dev'));
}

/**
 * The mounts that the devices of `spec` need. Device nodes are mounted too where the runtime cannot
 * make them, or would make them in the tree, where they would remain.
 */
export function deviceMounts(spec: ProcessSpec, guardDevices: boolean): readonly MountSpec[] {
  const made = new Set(madeNodes(spec, guardDevices));
  return (spec.devices ?? []).flatMap(({ mounts, nodes }): MountSpec[] => [
    ...mounts.map((mount) => ({ kind: 'bind' as const, ...mount })),
    ...nodes
      .filter((node) => !made.has(node))
      .map(({ hostPath, path }) => ({
        kind: 'bind' as const,
        source: hostPath,
        target: path,
        readonly: false,
        device: true,
      })),
  ]);
}

function deviceNode({ path, type, major, minor, mode, uid, gid }: DeviceNode): unknown {
  return { path, type, major, minor, fileMode: mode, uid, gid };
}

function accessRule({ type, major, minor, access }: DeviceNode): unknown {
  return { allow: true, type, major, minor, access };
}

function hooksOf(devices: readonly DeviceEdits[]): { readonly hooks?: unknown } {
  const hooks: Record<string, unknown[]> = {};
  for (const { when, hook } of devices.flatMap((edits) => edits.hooks))
    (hooks[when] ??= []).push(hook);
  return Object.keys(hooks).length === 0 ? {} : { hooks };
}

function namespacesOf({
  network,
  userNamespace,
}: SpecContext): { readonly type: string; readonly path?: string }[] {
  const own: { readonly type: string; readonly path?: string }[] = [
    'pid',
    'mount',
    'ipc',
    'uts',
    'cgroup',
  ].map((type) => ({
    type,
  }));
  if (network !== 'host')
    own.push({ type: 'network', ...(network === 'none' ? {} : { path: network.path }) });
  if (userNamespace !== undefined) own.push({ type: 'user', path: userNamespace });
  return own;
}

/** The ID mappings. The user namespace already has them, but runc requires them in the config. */
function idMappings(): object {
  const mappings = (name: 'uid_map' | 'gid_map') =>
    idRanges(name).map(({ first, count }) => ({ containerID: first, hostID: first, size: count }));
  return { uidMappings: mappings('uid_map'), gidMappings: mappings('gid_map') };
}

function mountsOf(spec: ProcessSpec, context: SpecContext): Mount[] {
  const access = spec.security === 'insecure' ? 'rw' : 'ro';
  const shm = `size=${BigInt(spec.shmSize || DEFAULT_SHM)}`;
  const mounts: Mount[] = [
    { destination: '/proc', type: 'proc', source: 'proc', options: NO_DEVICE_NO_EXEC },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      // The group tty, where more than one group is mapped.
      options: [
        'nosuid',
        'noexec',
        'newinstance',
        'ptmxmode=0666',
        'mode=0620',
        ...(mappedIds() > 1 ? ['gid=5'] : []),
      ],
    },
    {
      destination: '/dev/shm',
      type: 'tmpfs',
      source: 'shm',
      options: [...NO_DEVICE_NO_EXEC, 'mode=1777', shm],
    },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: NO_DEVICE_NO_EXEC },
    sysMount(context, access),
  ];
  if (context.cgroupMount) mounts.push(...cgroupMounts(context, access));
  mounts.push(
    fileMount('/etc/resolv.conf', context.resolvConf),
    fileMount('/etc/hosts', context.hosts),
  );
  mounts.push(...spec.mounts.map((mount) => userMount(mount, context.guardDevices)));
  // A later mount at the same place replaces an earlier one.
  return mounts.filter(
    (mount, at) =>
      !mounts.some((other, later) => later > at && other.destination === mount.destination),
  );
}

/**
 * The control groups that the sandbox sees. The runtime mounts them where it has made a group, and
 * for a step without a sandbox's limits (`insecure`). Elsewhere on v1 it would mount all
 * hierarchies, and what must not be seen would need a cover each: that is 2 ms of a step of 20.
 */
function cgroupMounts(
  { cgroupsPath, ownGroups = new Map() }: SpecContext,
  access: 'ro' | 'rw',
): readonly Mount[] {
  const options = [...NO_DEVICE_NO_EXEC, 'relatime', access];
  const visible =
    cgroupsPath === undefined && access === 'ro' ? visibleHierarchies(ownGroups) : undefined;
  if (visible === undefined)
    return [{ destination: CGROUPS, type: 'cgroup', source: 'cgroup', options }];
  return [
    { destination: CGROUPS, type: 'tmpfs', source: 'tmpfs', options: [...options, 'mode=755'] },
    ...visible.flatMap(({ names, directory }) =>
      names.map((name) => ({
        destination: `${CGROUPS}/${name}`,
        type: 'bind',
        source: directory,
        options: ['bind', ...options],
      })),
    ),
  ];
}

const CGROUPS = '/sys/fs/cgroup';

/**
 * A new sysfs shows the network namespace in which it is mounted, and only the owner of that
 * namespace may mount it. Otherwise the host's sysfs is bound.
 */
function sysMount({ network, sysfs }: SpecContext, access: 'ro' | 'rw'): Mount {
  const options = [...NO_DEVICE_NO_EXEC, access];
  if (sysfs !== undefined)
    return {
      destination: '/sys',
      type: 'bind',
      source: sysfs,
      options: ['bind', ...NO_DEVICE_NO_EXEC, 'ro'],
    };
  if (network !== 'host' || !inUserNamespace())
    return { destination: '/sys', type: 'sysfs', source: 'sysfs', options };
  return {
    destination: '/sys',
    type: 'bind',
    source: '/sys',
    options: ['rbind', 'rslave', ...NO_DEVICE_NO_EXEC, 'ro', 'rro'],
  };
}

function fileMount(destination: string, source: string): Mount {
  return { destination, type: 'bind', source, options: [...NO_DEVICE_NO_EXEC, 'rbind', 'ro'] };
}

function userMount(mount: MountSpec, guardDevices: boolean): Mount {
  const guard = guardDevices ? ['nodev'] : [];
  if (mount.kind === 'tmpfs') {
    const size = mount.size > 0 ? [`size=${mount.size}`] : [];
    const mode = mount.mode === undefined ? [] : [`mode=${mount.mode.toString(8)}`];
    return {
      destination: mount.target,
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', ...guard, ...size, ...mode],
    };
  }
  const options = [
    'rbind',
    'rprivate',
    mount.readonly ? 'ro' : 'rw',
    ...(mount.device ? [] : guard),
  ];
  return { destination: mount.target, type: 'bind', source: mount.source, options };
}

function withHome(env: readonly string[], home: string): readonly string[] {
  return env.some((entry) => entry.startsWith('HOME=')) ? env : [...env, `HOME=${home}`];
}

let seccompOf: { readonly key: string; readonly profile: SeccompProfile | undefined } | undefined;

/** Every sandbox of a process has the same capabilities, so the profile is built once. */
function seccompFor(capabilities: readonly string[]): SeccompProfile | undefined {
  const key = capabilities.join();
  if (seccompOf?.key !== key) seccompOf = { key, profile: defaultSeccomp(capabilities) };
  return seccompOf.profile;
}

/** RLIM_INFINITY does not fit into a double. */
function rlim(value: number): unknown {
  return value === Number.POSITIVE_INFINITY ? rawJson('18446744073709551615') : value;
}

/** JSON.rawJSON (V8 11.4), which the ES2024 library types do not list yet. */
const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON.bind(JSON);
