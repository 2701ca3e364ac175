import {
  accessSync,
  constants,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
} from 'node:fs';
import { arch, release } from 'node:os';
import { dirname, join } from 'node:path';
import { KilnError, messageOf } from '../../base/errors.ts';
import { isAtLeast } from '../../base/versions.ts';
import { BINFMT } from '../../executor/emulation/binfmt.ts';
import { machineOf } from '../../executor/emulation/elf.ts';
import {
  type FoundEmulators,
  foundEmulators,
  PRIVATE_BINFMT,
} from '../../executor/emulation/found-emulators.ts';
import { cgroupMode } from '../../executor/enter-cgroups.ts';
import { LIBSECCOMP } from '../../executor/filter.ts';
import { programsIn, programsOn } from '../../executor/find-program.ts';
import {
  diagnoseNetwork,
  type NetworkDiagnosis,
  thisNetworkHost,
} from '../../executor/network/diagnose.ts';
import {
  type FoundRuntime,
  findRuntime,
  installCommand,
  type PackageNames,
  probeRuntime,
} from '../../executor/probe.ts';
import { missingCapabilities } from '../../executor/sandbox-host.ts';
import { predictTrees, remembered, type TreeChoice } from '../../snapshotter/copying/choose.ts';
import { libdeflatePath } from '../../snapshotter/layer/libdeflate.ts';
import type { ScratchDir } from '../../snapshotter/store/scratch.ts';
import { ALLOW_MOUNTS, mayMount, NO_MOUNTS } from '../../snapshotter/sys/namespace.ts';
import { openLibrary } from '../../snapshotter/sys/native.ts';
import {
  ALLOW_NAMESPACES,
  forbiddingSetting,
  localUser,
  missingForSubordinateIds,
  namespaceFailure,
  planRootless,
  type UserHost,
} from '../rootless.ts';
import { table } from '../table.ts';

/** The result of one check of `kiln doctor`. */
export interface Finding {
  readonly name: string;
  readonly ok: boolean;
  /** What was found, in a few words. */
  readonly value: string;
  /** True when Kiln cannot build without it. Otherwise builds are only slower or more limited. */
  readonly needed: boolean;
  /** A command or a sentence that says how to fix it. */
  readonly fix?: string;
}

/** What the checks ask about the host. Tests replace it. */
export interface DoctorHost {
  /** Returns the text of a file, or undefined when it cannot be read. */
  read(path: string): string | undefined;
  hasLibrary(soname: string): boolean;
  /** The path of a program that builds run by its name, or undefined when PATH has none. */
  program(name: string): string | undefined;
  /** The path of libdeflate, which compresses layers faster, or undefined. */
  readonly libdeflate: string | undefined;
  /** Finds the emulators for programs of other architectures. */
  emulators(): FoundEmulators;
  /** Finds the OCI runtime with this name that sandboxes would use. Throws KILN_NO_RUNTIME. */
  runtime(name: 'crun' | 'runc'): FoundRuntime;
  /** Says whether this process may mount file systems. */
  mayMount(): boolean;
  /** Returns the capabilities that a sandbox needs and this process does not have. */
  missingCapabilities(): readonly string[];
  /**
   * Returns how trees of layers would be made in the store. Undefined when only the first build can
   * find out. Throws KILN_STORE_FILE_SYSTEM.
   */
  trees(storePath: string): TreeChoice | undefined;
  /** The release of the kernel, such as `6.1.0-42-amd64`. */
  readonly kernel: string;
  readonly uid: number;
  /** Returns the current user, for checks of what an ordinary user can do. */
  ordinaryUser(): UserHost;
  /** Finds out which network steps get. */
  network(): NetworkDiagnosis;
  readonly nodeVersion: string;
}

const OLDEST_KERNEL = '5.12';
const OLDEST_NODE = '22.19';
/** Bytes of free disk space below which the store is reported. */
const LITTLE_SPACE = 2 << 30;

/**
 * Checks what this host supports for builds with the store at `storePath`. Each finding that is not
 * ok says how to fix it.
 */
export function doctor(storePath: string, host: DoctorHost = thisHost()): readonly Finding[] {
  return [
    nodeVersion(host),
    kernel(host),
    privileges(host),
    snapshotter(host, storePath),
    userNamespaces(host),
    controlGroups(host),
    network(host),
    ...runtimes(host),
    emulation(host),
    ...optionalPackages(host),
    store(storePath),
  ];
}

/** Says whether everything that a build needs was found. */
export function isHealthy(findings: readonly Finding[]): boolean {
  return findings.every((finding) => finding.ok || !finding.needed);
}

/** Returns the text that `kiln doctor` prints: a table of the findings, then the fixes. */
export function doctorTable(findings: readonly Finding[]): string {
  const mark = ({ ok, needed }: Finding) => (ok ? 'ok' : needed ? 'MISSING' : 'optional');
  const rows = findings.map((finding) => [mark(finding), finding.name, finding.value]);
  const fixes = findings.flatMap(({ name, fix }) => (fix === undefined ? [] : [[`${name}:`, fix]]));
  return (
    table(rows) +
    (fixes.length > 0 ? `\nTo fix:\n${table(fixes).replace(/^/gm, '  ').trimEnd()}\n` : '')
  );
}

/** Returns the host that Kiln runs on. */
export function thisHost(): DoctorHost {
  return {
    read(path) {
      try {
        return readFileSync(path, 'utf8');
      } catch {
        return undefined;
      }
    },
    hasLibrary: (soname) => openLibrary(soname) !== undefined,
    program: programsIn(process.env['PATH'] ?? ''),
    get libdeflate() {
      return libdeflatePath();
    },
    emulators: foundEmulators,
    runtime: (name) => findRuntime(programsOn(process.env['PATH']), name),
    mayMount,
    missingCapabilities,
    trees: (path) =>
      process.getuid?.() === 0 ? predictTrees(path, () => probeDirectory(path)) : remembered(path),
    kernel: release(),
    uid: process.getuid?.() ?? -1,
    ordinaryUser: localUser,
    network: () =>
      diagnoseNetwork(thisNetworkHost(process.getuid?.() ?? -1, programsOn(process.env['PATH']))),
    nodeVersion: process.versions.node,
  };
}

function nodeVersion({ nodeVersion }: DoctorHost): Finding {
  const ok = isAtLeast(nodeVersion, OLDEST_NODE);
  const fix = ok
    ? {}
    : {
        fix:
          "run 'npm ci --ignore-scripts' in the checkout, which installs a newer Node " +
          `(${OLDEST_NODE} or later is needed)`,
      };
  return { name: 'node', ok, needed: true, value: `${nodeVersion} on ${arch()}`, ...fix };
}

function kernel({ kernel }: DoctorHost): Finding {
  const ok = isAtLeast(kernel, OLDEST_KERNEL);
  return {
    name: 'kernel',
    ok,
    needed: true,
    value: kernel,
    ...(ok ? {} : { fix: `use Linux ${OLDEST_KERNEL} or later` }),
  };
}

function privileges({
  uid,
  mayMount,
  missingCapabilities: missing,
  ordinaryUser,
}: DoctorHost): Finding {
  if (uid !== 0) return asOrdinaryUser(ordinaryUser());
  if (mayMount()) {
    const lacking = missing();
    if (lacking.length === 0) return { name: 'privileges', ok: true, needed: true, value: 'root' };
    const value = `root without ${lacking.join(', ')}: only builds without RUN work`;
    const fix = lacking.map((name) => `--cap-add ${name}`).join(' ');
    return { name: 'privileges', ok: false, needed: true, value, fix };
  }
  const value = `root, but ${NO_MOUNTS}: only builds without RUN work`;
  return { name: 'privileges', ok: false, needed: true, value, fix: ALLOW_MOUNTS };
}

function asOrdinaryUser(user: UserHost): Finding {
  const value = `user ${user.uid}`;
  try {
    const { map } = planRootless(user);
    if (map === 'all')
      return { name: 'privileges', ok: true, needed: true, value: `${value}, in a user namespace` };
    const missing = missingForSubordinateIds(user);
    return {
      name: 'privileges',
      ok: false,
      needed: false,
      value: `${value}, without subordinate ids: ${missing?.why}`,
      fix: missing?.fix ?? '',
    };
  } catch (error) {
    const fix = (error instanceof KilnError && error.hint) || 'sudo kiln ...';
    return { name: 'privileges', ok: false, needed: true, value, fix };
  }
}

/**
 * Checks how trees of layers are made: as the store has recorded it, or as its first build would.
 */
function snapshotter({ trees }: DoctorHost, path: string): Finding {
  const name = 'snapshotter';
  try {
    const choice = trees(path);
    if (choice === undefined)
      return { name, ok: true, needed: false, value: 'decided when the store is first used' };
    if (choice.kind === 'overlay') return { name, ok: true, needed: false, value: 'overlay' };
    const value = `copy: every step copies the tree it starts from (${choice.reason})`;
    return { name, ok: false, needed: false, value, fix: copyFix(choice) };
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    return {
      name,
      ok: false,
      needed: true,
      value: error.message,
      fix: error.hint ?? 'set KILN_ROOT to another directory',
    };
  }
}

function copyFix({ reason = '' }: TreeChoice): string {
  if (reason.startsWith(NO_MOUNTS)) return ALLOW_MOUNTS;
  if (/ENODEV/.test(reason)) return "run 'modprobe overlay', and use a new store";
  return 'set KILN_ROOT to a new directory on ext4, xfs, btrfs or tmpfs (in a container: a volume)';
}

/** Makes an empty directory on the file system of the store, and removes it when it is disposed. */
function probeDirectory(path: string): ScratchDir {
  const made = mkdtempSync(join(nearest(path), '.kiln-probe-'));
  return { path: made, [Symbol.dispose]: () => rmSync(made, { recursive: true, force: true }) };
}

function userNamespaces(host: DoctorHost): Finding {
  const forbidding = forbiddingSetting(host.read);
  if (!forbidding) {
    const user = host.ordinaryUser();
    const unshare = user.find('unshare');
    const failure = unshare === undefined ? undefined : namespaceFailure(user, unshare);
    if (failure === undefined)
      return { name: 'user namespaces', ok: true, needed: false, value: 'allowed' };
    return {
      name: 'user namespaces',
      ok: false,
      needed: false,
      value: `not allowed (${failure})`,
      fix: ALLOW_NAMESPACES,
    };
  }
  const { setting, value, required } = forbidding;
  return {
    name: 'user namespaces',
    ok: false,
    needed: false,
    value: `${setting} is ${value}`,
    fix: asRoot(host, `sysctl -w ${setting}=${required}`),
  };
}

function controlGroups(host: DoctorHost): Finding {
  const mode = cgroupMode();
  if (mode !== 'none') return { name: 'control groups', ok: true, needed: false, value: mode };
  const fix = asRoot(host, 'mount -t cgroup2 cgroup2 /sys/fs/cgroup');
  return { name: 'control groups', ok: false, needed: false, value: 'not mounted', fix };
}

function network(host: DoctorHost): Finding {
  const { kind, reasons, packages } = host.network();
  const descriptions = {
    nat: 'private, by NAT',
    slirp: 'private, by slirp4netns',
    host: 'the host network, unless networkFallback in kiln.toml says otherwise',
    none: 'none',
  } as const;
  const value = `${descriptions[kind]}${reasons.length > 0 ? ` (${reasons.join('; ')})` : ''}`;
  if (kind !== 'host') return { name: 'network of steps', ok: true, needed: false, value };
  return {
    name: 'network of steps',
    ok: false,
    needed: false,
    value,
    fix: networkFix(host, packages),
  };
}

function networkFix(host: DoctorHost, packages: readonly string[]): string {
  if (packages.length > 0)
    return packages.map((name) => asRoot(host, installCommand(name))).join(' && ');
  if (host.read('/proc/misc')?.match(/^\s*200 tun$/m))
    return asRoot(host, 'chmod 666 /dev/net/tun (in a container: --device /dev/net/tun)');
  return `${asRoot(host, 'modprobe tun')} (in a container: --device /dev/net/tun)`;
}

/**
 * Checks for crun and runc. One of them is enough, and the first one found is used. A version with
 * known vulnerabilities gives a warning but can build.
 */
function runtimes(host: DoctorHost): readonly Finding[] {
  const found = (['crun', 'runc'] as const).flatMap((name) => {
    try {
      const { path, version, warnings } = probeRuntime(host.runtime(name));
      return [{ name, path, version, warnings }];
    } catch {
      return [];
    }
  });
  if (found.length === 0) {
    const fix = asRoot(host, installCommand('crun'));
    return [
      { name: 'runtime', ok: false, needed: true, value: 'crun and runc are not installed', fix },
    ];
  }
  return found.flatMap(({ name, path, version, warnings }, at) => [
    {
      name,
      ok: true,
      needed: false,
      value: `${version} (${path})${at === 0 ? ', used' : ', not used'}`,
    },
    // Warnings about a runtime that is not used do not matter.
    ...(at > 0 ? [] : warnings).map((warning) => ({
      name: `${name} warning`,
      ok: false,
      needed: false,
      value: warning,
      ...(/CVE/.test(warning)
        ? { fix: `install a newer ${name} than ${version}, from your distribution or its project` }
        : {}),
    })),
  ]);
}

function emulation(host: DoctorHost): Finding {
  const { registered, installed, isTableMounted } = host.emulators();
  const name = 'emulation';
  if (registered.length > 0)
    return { name, ok: true, needed: false, value: `qemu for ${emulated(registered)}` };
  if (installed.length > 0 && isAtLeast(host.kernel, PRIVATE_BINFMT)) {
    const value = `qemu for ${emulated(installed)}, registered only for the steps that need it`;
    return { name, ok: true, needed: false, value };
  }
  const fix = emulationFix(installed.length > 0, isTableMounted);
  return {
    name,
    ok: false,
    needed: false,
    value: 'steps for other architectures cannot run',
    fix: asRoot(host, fix),
  };
}

/** Returns how to get emulation. Emulators that are installed only have to be registered. */
function emulationFix(isInstalled: boolean, isTableMounted: boolean): string {
  if (!isInstalled)
    return installCommand({
      apt: 'qemu-user-static binfmt-support',
      dnf: 'qemu-user-static',
      apk: 'qemu-aarch64 qemu-openrc',
    });
  if (!isTableMounted) return `mount -t binfmt_misc binfmt_misc ${BINFMT}`;
  return 'systemctl restart systemd-binfmt';
}

/** QEMU's names of architectures, such as `aarch64`. */
function emulated(architectures: readonly string[]): string {
  return summary(architectures.map((name) => machineOf(name)?.qemu ?? name).toSorted());
}

function summary(names: readonly string[]): string {
  return names.length <= 4
    ? names.join(', ')
    : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
}

/** Checks for libraries and programs that some builds use. */
function optionalPackages(host: DoctorHost): readonly Finding[] {
  const packageFinding = (
    name: string,
    found: string | undefined,
    without: string,
    names: PackageNames,
  ): Finding => {
    if (found !== undefined) return { name, ok: true, needed: false, value: found };
    const fix = asRoot(host, installCommand(names));
    return { name, ok: false, needed: false, value: `not installed${without}`, fix };
  };
  return [
    packageFinding('libdeflate', host.libdeflate, '; with it, gzip layers are compressed faster', {
      apt: 'libdeflate0',
      dnf: 'libdeflate',
      apk: 'libdeflate',
    }),
    packageFinding(
      'libseccomp',
      host.hasLibrary(LIBSECCOMP) ? LIBSECCOMP : undefined,
      '; with it, a step starts 20 ms sooner',
      { apt: 'libseccomp2', dnf: 'libseccomp', apk: 'libseccomp' },
    ),
    packageFinding('git', host.program('git'), ': builds cannot read git repositories', {
      apt: 'git',
    }),
    packageFinding('ssh', host.program('ssh'), ': builds cannot read git repositories by ssh', {
      apt: 'openssh-client',
      dnf: 'openssh-clients',
      pacman: 'openssh',
    }),
  ];
}

/** Adds sudo to a command that needs root, unless the user is root. */
function asRoot({ uid }: DoctorHost, command: string): string {
  return uid === 0 ? command : `sudo ${command}`;
}

function store(path: string): Finding {
  try {
    const place = nearest(path);
    accessSync(place, constants.W_OK | constants.X_OK);
    const { bavail, bsize } = statfsSync(place);
    const free = bavail * bsize;
    const ok = free >= LITTLE_SPACE;
    const fix = ok ? {} : { fix: 'set KILN_ROOT to a directory with more space' };
    return {
      name: 'store',
      ok,
      needed: false,
      value: `${path}, ${(free / 2 ** 30).toFixed(1)} GiB free`,
      ...fix,
    };
  } catch (error) {
    return {
      name: 'store',
      ok: false,
      needed: true,
      value: `${path}: ${messageOf(error)}`,
      fix: 'set KILN_ROOT to another directory',
    };
  }
}

/** Returns the path itself, or the nearest directory above it that exists. */
function nearest(path: string): string {
  let at = path;
  while (!existsSync(at) && at !== dirname(at)) at = dirname(at);
  return at;
}
