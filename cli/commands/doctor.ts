import { readdirSync, readFileSync, statfsSync } from 'node:fs';
import { arch, release } from 'node:os';
import { dirname } from 'node:path';
import { KilnError, messageOf } from '../../base/errors.ts';
import { cgroupMode } from '../../executor/cgroups.ts';
import { diagnoseNetwork, type NetworkDiagnosis, thisNetworkHost } from '../../executor/network/diagnose.ts';
import { findRuntime, installCommand, type PackageNames, probeRuntime } from '../../executor/probe.ts';
import { openLibrary } from '../../snapshotter/sys/native.ts';
import { giveIds, planRootless, refusedBy, thisUser, type UserHost } from '../rootless.ts';
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
  list(path: string): readonly string[];
  hasLibrary(soname: string): boolean;
  readonly kernel: string;
  readonly uid: number;
  /** Who calls, when it is not root. */
  ordinaryUser(): UserHost;
  /** What decides about the network of steps. */
  network(): NetworkDiagnosis;
  readonly nodeVersion: string;
  /** PATH: where runtimes are looked for. */
  readonly searchPath: string | undefined;
}

const OLDEST_KERNEL = '5.12';
const OLDEST_NODE = '22.19';
const LITTLE_SPACE = 2 << 30;
const BINFMT = '/proc/sys/fs/binfmt_misc';
const CAP_SYS_ADMIN = 21n;

/** What this host offers for builds with the store at `storePath`, and for what is missing the command that mends it. */
export function doctor(storePath: string, host: DoctorHost = thisHost()): readonly Finding[] {
  return [
    nodeVersion(host),
    kernel(host),
    privileges(host),
    overlay(host),
    userNamespaces(host),
    controlGroups(),
    network(host),
    ...runtimes(host),
    emulation(host),
    library(host, 'libdeflate', 'libdeflate.so.0', 'gzip layers are compressed faster', {
      apt: 'libdeflate0',
      dnf: 'libdeflate',
      apk: 'libdeflate',
    }),
    library(host, 'isa-l', 'libisal.so.2', undefined, {
      apt: 'libisal2',
      dnf: 'isa-l',
      apk: 'isa-l',
    }),
    library(host, 'libseccomp', 'libseccomp.so.2', 'a step starts 20 ms sooner', {
      apt: 'libseccomp2',
      dnf: 'libseccomp',
      apk: 'libseccomp',
    }),
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
  return table(rows) + (fixes.length > 0 ? `\nTo mend:\n${table(fixes).replace(/^/gm, '  ').trimEnd()}\n` : '');
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
    list(path) {
      try {
        return readdirSync(path);
      } catch {
        return [];
      }
    },
    hasLibrary: (soname) => openLibrary(soname) !== undefined,
    kernel: release(),
    uid: process.getuid?.() ?? -1,
    ordinaryUser: thisUser,
    network: () => diagnoseNetwork(thisNetworkHost(process.getuid?.() ?? -1)),
    nodeVersion: process.versions.node,
    searchPath: process.env['PATH'],
  };
}

function nodeVersion({ nodeVersion }: DoctorHost): Finding {
  const ok = isAtLeast(nodeVersion, OLDEST_NODE);
  const fix = ok ? {} : { fix: `npm ci --ignore-scripts in the checkout brings a Node that is new enough (${OLDEST_NODE})` };
  return { name: 'node', ok, needed: true, value: `${nodeVersion} on ${arch()}`, ...fix };
}

function kernel({ kernel }: DoctorHost): Finding {
  const ok = isAtLeast(kernel, OLDEST_KERNEL);
  return { name: 'kernel', ok, needed: true, value: kernel, ...(ok ? {} : { fix: `a kernel of ${OLDEST_KERNEL} or newer` }) };
}

function privileges({ uid, read, ordinaryUser }: DoctorHost): Finding {
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(read('/proc/self/status') ?? '')?.[1] ?? '0';
  const mayMount = ((BigInt(`0x${effective}`) >> CAP_SYS_ADMIN) & 1n) === 1n;
  if (uid === 0 && mayMount) return { name: 'privileges', ok: true, needed: true, value: 'root' };
  if (uid !== 0) return asOrdinaryUser(ordinaryUser());
  const fix = 'start the container or service around Kiln with CAP_SYS_ADMIN';
  return { name: 'privileges', ok: false, needed: true, value: 'root without CAP_SYS_ADMIN', fix };
}

function asOrdinaryUser(user: UserHost): Finding {
  const value = `user ${user.uid}`;
  try {
    const { map } = planRootless(user);
    if (map === 'all') return { name: 'privileges', ok: true, needed: true, value: `${value}, in a user namespace` };
    const fix = giveIds(user.user);
    return { name: 'privileges', ok: false, needed: false, value: `${value}, with no other id than its own`, fix };
  } catch (error) {
    const fix = (error instanceof KilnError && error.hint) || 'sudo kiln ...';
    return { name: 'privileges', ok: false, needed: true, value, fix };
  }
}

function overlay({ read }: DoctorHost): Finding {
  const ok = /\toverlay$/m.test(read('/proc/filesystems') ?? '');
  const value = ok ? 'known to the kernel' : 'not known to the kernel';
  return { name: 'overlay', ok, needed: true, value, ...(ok ? {} : { fix: 'modprobe overlay' }) };
}

function userNamespaces({ read }: DoctorHost): Finding {
  const refusal = refusedBy(read);
  if (!refusal) return { name: 'user namespaces', ok: true, needed: false, value: 'allowed' };
  const { setting, value, wanted } = refusal;
  return {
    name: 'user namespaces',
    ok: false,
    needed: false,
    value: `${setting} is ${value}`,
    fix: `sysctl -w ${setting}=${wanted}`,
  };
}

function controlGroups(): Finding {
  const mode = cgroupMode();
  if (mode !== 'none') return { name: 'control groups', ok: true, needed: false, value: mode };
  const fix = 'mount -t cgroup2 cgroup2 /sys/fs/cgroup';
  return { name: 'control groups', ok: false, needed: false, value: 'none are mounted', fix };
}

function network(host: DoctorHost): Finding {
  const { kind, reasons, packages } = host.network();
  const ways = { nat: 'of their own, by NAT', slirp: 'of their own, by slirp4netns', host: "the host's, shared" } as const;
  const value = `${ways[kind]}${reasons.length > 0 ? ` (${reasons.join('; ')})` : ''}`;
  if (kind !== 'host') return { name: 'network of steps', ok: true, needed: false, value };
  const fix = packages.length > 0 ? packages.map((name) => installCommand(name)).join(' && ') : 'chmod 666 /dev/net/tun';
  return { name: 'network of steps', ok: false, needed: false, value, fix };
}

/** crun and runc, either will do. A version with published vulnerabilities is said, and is well enough to build. */
function runtimes({ searchPath }: DoctorHost): readonly Finding[] {
  const found = (['crun', 'runc'] as const).flatMap((name) => {
    try {
      const { path, version, warnings } = probeRuntime(findRuntime({ override: name, searchPath }));
      return [{ name, path, version, warnings }];
    } catch {
      return [];
    }
  });
  if (found.length === 0) {
    return [{ name: 'runtime', ok: false, needed: true, value: 'neither crun nor runc', fix: installCommand('crun') }];
  }
  return found.flatMap(({ name, path, version, warnings }, at) => [
    { name, ok: true, needed: false, value: `${version} (${path})${at === 0 ? ', used' : ''}` },
    ...warnings.map((warning) => ({
      name: `${name} warning`,
      ok: false,
      needed: false,
      value: warning,
      ...(/CVE/.test(warning) ? { fix: installCommand(name) } : {}),
    })),
  ]);
}

const STATIC_EMULATOR = /^qemu-(\w+)-static$/;
/** The first kernel with a binfmt_misc for each user namespace. */
const PRIVATE_BINFMT = '6.7';

function emulation({ list, kernel }: DoctorHost): Finding {
  const emulators = list(BINFMT).filter((name) => name.startsWith('qemu-'));
  if (emulators.length > 0) {
    const shown = emulators.map((name) => name.slice('qemu-'.length)).toSorted();
    return { name: 'emulation', ok: true, needed: false, value: `qemu for ${summary(shown)}` };
  }
  const installed = list('/usr/bin').flatMap((name) => STATIC_EMULATOR.exec(name)?.[1] ?? []);
  if (installed.length > 0 && isAtLeast(kernel, PRIVATE_BINFMT)) {
    const value = `qemu for ${summary(installed.toSorted())}, known to the steps that need it alone`;
    return { name: 'emulation', ok: true, needed: false, value };
  }
  return {
    name: 'emulation',
    ok: false,
    needed: false,
    value: 'steps for other CPUs cannot run',
    fix: emulationFix(installed.length > 0, list),
  };
}

/** Emulators that are installed may only have to be made known to the kernel. */
function emulationFix(installed: boolean, list: DoctorHost['list']): string {
  if (!installed)
    return installCommand({ apt: 'qemu-user-static binfmt-support', dnf: 'qemu-user-static', apk: 'qemu-aarch64 qemu-openrc' });
  if (list(BINFMT).length === 0) return `mount -t binfmt_misc binfmt_misc ${BINFMT}`;
  return 'systemctl restart systemd-binfmt';
}

function summary(names: readonly string[]): string {
  return names.length <= 4 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
}

/** `gain` says what is better with it; absent while nothing of Kiln uses it. */
function library(host: DoctorHost, name: string, soname: string, gain: string | undefined, names: PackageNames): Finding {
  if (host.hasLibrary(soname)) return { name, ok: true, needed: false, value: soname };
  return {
    name,
    ok: false,
    needed: false,
    value: gain === undefined ? 'not there, not used yet' : `not there; with it ${gain}`,
    fix: installCommand(names),
  };
}

function store(path: string): Finding {
  try {
    const { bavail, bsize } = nearestFileSystem(path);
    const free = bavail * bsize;
    const ok = free >= LITTLE_SPACE;
    const fix = ok ? {} : { fix: 'set KILN_ROOT to a directory with more space' };
    return { name: 'store', ok, needed: false, value: `${path}, ${(free / 2 ** 30).toFixed(1)} GiB free`, ...fix };
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

/** Of the path, or of what it would be made in. */
function nearestFileSystem(path: string): { readonly bavail: number; readonly bsize: number } {
  for (let at = path; ; at = dirname(at)) {
    try {
      return statfsSync(at);
    } catch (error) {
      if (at === dirname(at)) throw error;
    }
  }
}

/** Compares the first two numbers: `6.18.44-x` is at least `5.12`. */
function isAtLeast(version: string, least: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const [wantedMajor = 0, wantedMinor = 0] = least.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
