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
import { BINFMT, readRegistrations, registrationFor } from '../../executor/emulation/binfmt.ts';
import { ARCHITECTURES, machineOf } from '../../executor/emulation/elf.ts';
import { findEmulator, isNative } from '../../executor/emulation/find-emulator.ts';
import { cgroupMode } from '../../executor/enter-cgroups.ts';
import { LIBSECCOMP } from '../../executor/filter.ts';
import { programsOn } from '../../executor/find-program.ts';
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
import { foreseeTrees, remembered, type TreeChoice } from '../../snapshotter/copying/choose.ts';
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

/** One thing that `kiln doctor` looked at. */
export interface Finding {
  readonly name: string;
  readonly ok: boolean;
  /** What is there, in a few words. */
  readonly value: string;
  /** True when Kiln cannot build without it; else it is only slower or can do less. */
  readonly needed: boolean;
  /** The one command, or the one thing, that mends it. */
  readonly fix?: string;
}

/** Where the findings come from; tests put another host here. */
export interface DoctorHost {
  /** The text of a file, or undefined. */
  read(path: string): string | undefined;
  hasLibrary(soname: string): boolean;
  /** The compressor that layers would be packed with, when it is there. */
  readonly libdeflate: string | undefined;
  /**
   * Programs by which the kernel, or a step's own table, runs programs of another processor: its
   * names by machine.
   */
  emulators(): EmulatorsHere;
  /** The runtime of that name that a sandbox would be run by. Throws KILN_NO_RUNTIME. */
  runtime(name: 'crun' | 'runc'): FoundRuntime;
  /** Whether this process may make mounts. */
  mayMount(): boolean;
  /** Capabilities that a sandbox needs, and this process has not. */
  missingCapabilities(): readonly string[];
  /** How trees would be made in the store. Throws KILN_STORE_FILE_SYSTEM. */
  trees(storePath: string): TreeChoice | undefined;
  readonly kernel: string;
  readonly uid: number;
  /** Who calls, when it is not root. */
  ordinaryUser(): UserHost;
  /** What decides about the network of steps. */
  network(): NetworkDiagnosis;
  readonly nodeVersion: string;
}

export interface EmulatorsHere {
  /** Machines whose programs the kernel was told how to run. */
  readonly registered: readonly string[];
  /** Machines whose emulator was found. */
  readonly installed: readonly string[];
  /** Whether the kernel's table is mounted. */
  readonly isTableMounted: boolean;
}

const OLDEST_KERNEL = '5.12';
const OLDEST_NODE = '22.19';
const LITTLE_SPACE = 2 << 30;

/**
 * What this host offers for builds with the store at `storePath`, and for what is missing the
 * command that mends it.
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
    library(host, 'libdeflate', host.libdeflate, 'gzip layers are compressed faster', {
      apt: 'libdeflate0',
      dnf: 'libdeflate',
      apk: 'libdeflate',
    }),
    library(
      host,
      'libseccomp',
      host.hasLibrary(LIBSECCOMP) ? LIBSECCOMP : undefined,
      'a step starts 20 ms sooner',
      {
        apt: 'libseccomp2',
        dnf: 'libseccomp',
        apk: 'libseccomp',
      },
    ),
    store(storePath),
  ];
}

/** True when nothing that a build needs is missing. */
export function isHealthy(findings: readonly Finding[]): boolean {
  return findings.every((finding) => finding.ok || !finding.needed);
}

/** The findings as a table, then what to do about those that are not well. */
export function doctorTable(findings: readonly Finding[]): string {
  const mark = ({ ok, needed }: Finding) => (ok ? 'ok' : needed ? 'MISSING' : 'optional');
  const rows = findings.map((finding) => [mark(finding), finding.name, finding.value]);
  const fixes = findings.flatMap(({ name, fix }) => (fix === undefined ? [] : [[`${name}:`, fix]]));
  return (
    table(rows) +
    (fixes.length > 0 ? `\nTo mend:\n${table(fixes).replace(/^/gm, '  ').trimEnd()}\n` : '')
  );
}

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
    get libdeflate() {
      return libdeflatePath();
    },
    emulators: emulatorsHere,
    runtime: (name) => findRuntime(programsOn(process.env['PATH']), name),
    mayMount,
    missingCapabilities,
    trees: (path) =>
      process.getuid?.() === 0 ? foreseeTrees(path, () => probeDirectory(path)) : remembered(path),
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
          'npm ci --ignore-scripts in the checkout brings a Node that is new enough ' +
          `(${OLDEST_NODE})`,
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
    ...(ok ? {} : { fix: `a kernel of ${OLDEST_KERNEL} or newer` }),
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
      value: `${value}, with no other id than its own: ${missing?.why}`,
      fix: missing?.fix ?? '',
    };
  } catch (error) {
    const fix = (error instanceof KilnError && error.hint) || 'sudo kiln ...';
    return { name: 'privileges', ok: false, needed: true, value, fix };
  }
}

/**
 * The way in which trees are made, as the store has it written down, or as its first build will
 * find out.
 */
function snapshotter({ trees }: DoctorHost, path: string): Finding {
  const name = 'snapshotter';
  try {
    const choice = trees(path);
    if (choice === undefined)
      return { name, ok: true, needed: false, value: 'found out when the store is first used' };
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
  if (/ENODEV/.test(reason)) return 'modprobe overlay, and a new store';
  return 'set KILN_ROOT to a new directory on ext4, xfs, btrfs or tmpfs (in a container: a volume)';
}

/** An empty directory where the store is, or in what it would be made in. */
function probeDirectory(path: string): ScratchDir {
  const made = mkdtempSync(join(nearest(path), '.kiln-probe-'));
  return { path: made, [Symbol.dispose]: () => rmSync(made, { recursive: true, force: true }) };
}

function userNamespaces(host: DoctorHost): Finding {
  const refusal = forbiddingSetting(host.read);
  if (!refusal) {
    const user = host.ordinaryUser();
    const unshare = user.find('unshare');
    const complaint = unshare === undefined ? undefined : namespaceFailure(user, unshare);
    if (complaint === undefined)
      return { name: 'user namespaces', ok: true, needed: false, value: 'allowed' };
    return {
      name: 'user namespaces',
      ok: false,
      needed: false,
      value: `refused here (${complaint})`,
      fix: ALLOW_NAMESPACES,
    };
  }
  const { setting, value, required } = refusal;
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
  return { name: 'control groups', ok: false, needed: false, value: 'none are mounted', fix };
}

function network(host: DoctorHost): Finding {
  const { kind, reasons, packages } = host.network();
  const ways = {
    nat: 'of their own, by NAT',
    slirp: 'of their own, by slirp4netns',
    host: "the host's, shared, unless kiln.toml says otherwise",
    none: 'none',
  } as const;
  const value = `${ways[kind]}${reasons.length > 0 ? ` (${reasons.join('; ')})` : ''}`;
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
 * crun and runc, either will do; the first is used. A version with published vulnerabilities is
 * said, and is well enough to build.
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
    return [{ name: 'runtime', ok: false, needed: true, value: 'neither crun nor runc', fix }];
  }
  return found.flatMap(({ name, path, version, warnings }, at) => [
    {
      name,
      ok: true,
      needed: false,
      value: `${version} (${path})${at === 0 ? ', used' : ', not used'}`,
    },
    // What is not used does no harm.
    ...(at > 0 ? [] : warnings).map((warning) => ({
      name: `${name} warning`,
      ok: false,
      needed: false,
      value: warning,
      ...(/CVE/.test(warning)
        ? { fix: `a newer ${name} than ${version}, from your distribution or its project` }
        : {}),
    })),
  ]);
}

/** The first kernel with a binfmt_misc for each user namespace. */
const PRIVATE_BINFMT = '6.7';

function emulation(host: DoctorHost): Finding {
  const { registered, installed, isTableMounted } = host.emulators();
  const name = 'emulation';
  if (registered.length > 0)
    return { name, ok: true, needed: false, value: `qemu for ${summary(registered)}` };
  if (installed.length > 0 && isAtLeast(host.kernel, PRIVATE_BINFMT)) {
    const value = `qemu for ${summary(installed)}, known to the steps that need it alone`;
    return { name, ok: true, needed: false, value };
  }
  const fix = emulationFix(installed.length > 0, isTableMounted);
  return {
    name,
    ok: false,
    needed: false,
    value: 'steps for other CPUs cannot run',
    fix: asRoot(host, fix),
  };
}

/** Emulators that are installed may only have to be made known to the kernel. */
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

/**
 * What a step for another processor would find: in the kernel's table, and among the programs of
 * the host.
 */
function emulatorsHere(): EmulatorsHere {
  const registrations = readRegistrations(BINFMT);
  const foreign = ARCHITECTURES.filter((name) => !isNative(name)).flatMap(
    (name) => machineOf(name) ?? [],
  );
  return {
    registered: foreign
      .filter((machine) => registrationFor(registrations, machine))
      .map(({ qemu }) => qemu)
      .toSorted(),
    installed: foreign
      .filter((machine) => findEmulator(machine))
      .map(({ qemu }) => qemu)
      .toSorted(),
    isTableMounted: existsSync(join(BINFMT, 'status')),
  };
}

function summary(names: readonly string[]): string {
  return names.length <= 4
    ? names.join(', ')
    : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
}

/** `gain` says what is better with it. */
function library(
  host: DoctorHost,
  name: string,
  found: string | undefined,
  gain: string,
  names: PackageNames,
): Finding {
  if (found !== undefined) return { name, ok: true, needed: false, value: found };
  return {
    name,
    ok: false,
    needed: false,
    value: `not there; with it ${gain}`,
    fix: asRoot(host, installCommand(names)),
  };
}

/** A command that takes root's rights, as this user would give it. */
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

/** The path, or what it would be made in. */
function nearest(path: string): string {
  let at = path;
  while (!existsSync(at) && at !== dirname(at)) at = dirname(at);
  return at;
}

/** Compares the first two numbers: `6.18.44-x` is at least `5.12`. */
function isAtLeast(version: string, least: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const [wantedMajor = 0, wantedMinor = 0] = least.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
