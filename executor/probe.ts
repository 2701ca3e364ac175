import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { KilnError } from '../base/errors.ts';
import { cgroupMode } from './enter-cgroups.ts';
import type { RuntimeInfo } from './executor.ts';
import { type FindProgram, isExecutable } from './find-program.ts';

/**
 * A runtime that was found. Its version is not part of it, because asking for it costs a process.
 */
export interface FoundRuntime {
  readonly name: 'crun' | 'runc';
  readonly path: string;
}

const TOOLS_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The runtime to use: `override` (a path, or a name to look up), else crun, else runc. Throws
 * KILN_NO_RUNTIME with the command that installs one.
 */
export function findRuntime(find: FindProgram, override?: string | undefined): FoundRuntime {
  const wanted = override === undefined ? ['crun', 'runc'] : [override];
  for (const name of wanted) {
    const path = name.includes('/') ? [name].find(isExecutable) : find(name);
    if (path !== undefined) return { name: /runc[^/]*$/.test(path) ? 'runc' : 'crun', path };
  }
  throw new KilnError(
    'KILN_NO_RUNTIME',
    `no container runtime was found: looked for ${wanted.join(' and ')}`,
    {
      hint: installCommand('crun'),
    },
  );
}

const probed = new Map<string, RuntimeInfo>();

/** Version and known problems of a runtime. It is asked once per process. */
export function probeRuntime(runtime: FoundRuntime): RuntimeInfo {
  const known = probed.get(runtime.path);
  if (known) return known;
  const { stdout, error, status } = spawnSync(runtime.path, ['--version'], {
    encoding: 'utf8',
    env: { PATH: TOOLS_PATH },
  });
  if (error || status !== 0) {
    throw new KilnError('KILN_NO_RUNTIME', `${runtime.path} does not run`, {
      hint: installCommand('crun'),
      cause: error,
    });
  }
  const version = /version (\d+\.\d+(?:\.\d+)?\S*)/.exec(stdout)?.[1] ?? 'unknown';
  const warnings = [
    ...knownVulnerabilities(runtime.name, version),
    ...cgroupWarnings(runtime.name),
  ];
  const info = { ...runtime, version, warnings };
  probed.set(runtime.path, info);
  return info;
}

/**
 * Published vulnerabilities of this version that matter to a build. A distribution may have patched
 * one without a new version number.
 */
export function knownVulnerabilities(name: 'crun' | 'runc', version: string): readonly string[] {
  const found = [];
  if (name === 'crun' && isBefore(version, '1.4.4')) {
    found.push(
      'crun before 1.4.4 gives processes inheritable capabilities (CVE-2022-27650); Kiln ' +
        'asks for none.',
    );
  }
  if (name === 'runc' && isBefore(version, '1.1.12') && !isPatchedDebian(version)) {
    found.push(
      'runc before 1.1.12 leaks a file descriptor to processes (CVE-2024-21626); Kiln ' +
        'refuses the working directories it needs.',
    );
  }
  if (name === 'runc' && isBefore(version, '1.1.5')) {
    found.push(
      'runc before 1.1.5 lets a /proc that is a link escape its masks (CVE-2023-27561, ' +
        'CVE-2023-28642); Kiln refuses such images.',
    );
  }
  if (name === 'runc' && (isBefore(version, '1.1.14') || /^1\.2\.0-rc\.?[12]$/.test(version))) {
    found.push(
      'runc before 1.1.14 can be made to create empty files on the host (CVE-2024-45310).',
    );
  }
  if (name === 'runc' && !containsMaskFix(version)) {
    found.push(
      'runc before 1.2.8 and 1.3.3 follows links at masked paths and /dev/console ' +
        '(CVE-2025-31133, CVE-2025-52565, CVE-2025-52881).',
    );
  }
  return found;
}

/** Debian 12 patched CVE-2024-21626 in its 1.1.5. */
function isPatchedDebian(version: string): boolean {
  return /^1\.1\.5\+ds1/.test(version);
}

function containsMaskFix(version: string): boolean {
  if (isBefore(version, '1.2.8')) return false;
  if (/^1\.3\./.test(version)) return !isBefore(version, '1.3.3');
  return !/^1\.4\.0-rc\.?[12]$/.test(version);
}

/** Compares the numbers at the beginning: `1.1.5+ds1` is 1.1.5. */
function isBefore(version: string, other: string): boolean {
  const [a, b] = [version, other].map((text) =>
    (/^[\d.]+/.exec(text)?.[0] ?? '0').split('.').map(Number),
  );
  for (let at = 0; at < 3; at++) {
    const difference = (a?.[at] ?? 0) - (b?.[at] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

function cgroupWarnings(name: 'crun' | 'runc'): readonly string[] {
  if (cgroupMode() !== 'none') return [];
  return name === 'crun'
    ? [
        'No control groups are mounted: sandboxes cannot make device nodes, and memory and ' +
          'CPU use are not known.',
      ]
    : ['No control groups are mounted and runc does not work without them: install crun.'];
}

/** The names of a package: Debian's, and those of other distributions where they differ. */
export interface PackageNames {
  readonly apt: string;
  readonly dnf?: string;
  readonly apk?: string;
  readonly pacman?: string;
}

/** The command that installs a package on this distribution. */
export function installCommand(
  names: string | PackageNames,
  osRelease: string = readOsRelease(),
): string {
  const {
    apt,
    dnf = apt,
    apk = apt,
    pacman = dnf,
  } = typeof names === 'string' ? { apt: names } : names;
  const family = [...osRelease.matchAll(/^ID(?:_LIKE)?=.*$/gm)].map((match) => match[0]).join(' ');
  if (/suse/.test(family)) return `zypper install -y ${dnf}`;
  if (/fedora|rhel|centos/.test(family)) return `dnf install -y ${dnf}`;
  if (/alpine/.test(family)) return `apk add ${apk}`;
  if (/arch/.test(family)) return `pacman -S --noconfirm ${pacman}`;
  return `apt-get install -y ${apt}`;
}

function readOsRelease(): string {
  try {
    return readFileSync('/etc/os-release', 'utf8');
  } catch {
    return '';
  }
}
