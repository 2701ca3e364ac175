import { endianness, machine } from 'node:os';
import { KilnError } from '../base/errors.ts';
import type { Descriptor, Index } from '../base/oci.ts';
import type { Platform } from '../base/platform.ts';

/**
 * Platform strings and their matching, with the rules of containerd/platforms: `os`, `arch`, `os/arch` or `os/arch/variant`, an
 * optional `(osversion+feature)` after the os, and aliases such as x86_64 and aarch64.
 */

const KNOWN_OS = new Set(
  'aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris windows zos'.split(' '),
);
const KNOWN_ARCH = new Set(
  '386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le ppc riscv riscv64 s390 s390x sparc sparc64 wasm'.split(
    ' ',
  ),
);

const PART = /^[A-Za-z0-9_.-]+$/;
const OS_PART = /^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?$/;

/** Parses and normalises. A missing half of `os` or `arch` is the host's. Throws KILN_PLATFORM_INVALID. */
export function parsePlatform(text: string, host: Platform = hostPlatform()): Platform {
  const fail = (why: string): never => {
    throw new KilnError('KILN_PLATFORM_INVALID', `invalid platform ${JSON.stringify(text)}: ${why}`, {
      hint: 'a platform is OS/ARCH or OS/ARCH/VARIANT, such as linux/amd64 or linux/arm/v7',
    });
  };
  if (text.includes('*')) fail('wildcards are not supported');
  const parts = text.split('/');
  const first = OS_PART.exec(parts[0] ?? '') ?? fail(`${JSON.stringify(parts[0])} is not an operating system`);
  for (const part of parts.slice(1)) if (!PART.test(part)) fail(`${JSON.stringify(part)} is not a valid part`);
  const osVersion = decode(first[2] ?? '');
  const osFeatures = (first[3] ?? '').split('+').slice(1).map(decode);
  const extra = { ...(osVersion ? { osVersion } : {}), ...(osFeatures.length ? { osFeatures } : {}) };
  const [, arch, variant] = parts;
  const os = first[1] as string;
  if (parts.length > 3) fail('it has more than three parts');
  if (arch !== undefined)
    return normalisePlatform({ os, architecture: arch, ...(variant === undefined ? {} : { variant }), ...extra });

  const known = normalisePlatform({ os, architecture: host.architecture, ...extra });
  if (KNOWN_OS.has(known.os)) return { ...known, ...(host.variant === undefined ? {} : { variant: host.variant }) };
  const asArch = normalisePlatform({ os: host.os, architecture: os });
  if (!KNOWN_ARCH.has(asArch.architecture)) fail('unknown operating system or architecture');
  return asArch;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Canonical names: `x86_64` is amd64, `aarch64` arm64; amd64/v1 and arm64/v8 lose their variant, arm without one is v7. */
export function normalisePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase();
  const { architecture, variant } = normaliseArch(platform.architecture.toLowerCase(), (platform.variant ?? '').toLowerCase());
  const osFeatures = [...new Set(platform.osFeatures ?? [])].sort();
  return {
    os: os === '' ? 'linux' : os === 'macos' ? 'darwin' : os,
    architecture,
    ...(variant ? { variant } : {}),
    ...(platform.osVersion ? { osVersion: platform.osVersion } : {}),
    ...(osFeatures.length ? { osFeatures } : {}),
  };
}

function normaliseArch(arch: string, variant: string): { architecture: string; variant: string } {
  switch (arch) {
    case 'i386':
      return { architecture: '386', variant: '' };
    case 'x86_64':
    case 'x86-64':
    case 'amd64':
      return { architecture: 'amd64', variant: variant === 'v1' ? '' : variant };
    case 'aarch64':
    case 'arm64':
      return { architecture: 'arm64', variant: variant === '8' || variant === 'v8' ? '' : variant };
    case 'armhf':
      return { architecture: 'arm', variant: 'v7' };
    case 'armel':
      return { architecture: 'arm', variant: 'v6' };
    case 'arm':
      return { architecture: 'arm', variant: variant === '' ? 'v7' : /^[5-8]$/.test(variant) ? `v${variant}` : variant };
    default:
      return { architecture: arch, variant };
  }
}

/** `linux/arm/v7`; without os version and features. */
export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, platform.variant].filter((part) => part).join('/');
}

/** The machine Kiln runs on, normalised. */
export function hostPlatform(): Platform {
  const name = machine();
  // uname says armv7l, armv6l, ppc64, mips64 ... where OCI says arm/v7, ppc64le and so on.
  const arm = /^armv([5-8])/.exec(name);
  if (arm) return normalisePlatform({ os: 'linux', architecture: 'arm', variant: `v${arm[1]}` });
  if (/^i[3-6]86$/.test(name)) return { os: 'linux', architecture: '386' };
  if (name === 'loongarch64') return { os: 'linux', architecture: 'loong64' };
  const little = endianness() === 'LE' && /^(ppc64|mips64|mips)$/.test(name) ? 'le' : '';
  return normalisePlatform({ os: 'linux', architecture: name + little });
}

/** True when `candidate` is exactly `wanted` after normalising (os features of the candidate may be a subset). */
export function samePlatform(wanted: Platform, candidate: Platform): boolean {
  const a = normalisePlatform(wanted);
  const b = normalisePlatform(candidate);
  return (
    a.os === b.os &&
    a.architecture === b.architecture &&
    (a.variant ?? '') === (b.variant ?? '') &&
    (a.os !== 'windows' || sameWindows(a.osVersion, b.osVersion)) &&
    (b.osFeatures ?? []).every((feature) => a.osFeatures?.includes(feature))
  );
}

/** Windows containers need the build number of their host: the first three numbers of the version. */
function sameWindows(wanted: string | undefined, candidate: string | undefined): boolean {
  if (!wanted || !candidate) return true;
  const head = (version: string) => version.split('.').slice(0, 3).join('.');
  return head(wanted) === head(candidate);
}

/** What runs on `platform`, best first: arm64 also runs arm/v8 … v5, amd64 also 386, arm/v7 also v6 and v5. */
export function compatiblePlatforms(platform: Platform): readonly Platform[] {
  const wanted = normalisePlatform(platform);
  const like = (architecture: string, variant?: string): Platform => {
    const { variant: _, ...rest } = wanted;
    return { ...rest, architecture, ...(variant ? { variant } : {}) };
  };
  const list: Platform[] = [wanted];
  const armDown = (from: number) => {
    for (let version = from; version >= 5; version--) list.push(like('arm', `v${version}`));
  };
  if (wanted.architecture === 'amd64') {
    for (let version = Number(wanted.variant?.slice(1) ?? 1) - 1; version >= 1; version--)
      list.push(like('amd64', `v${version}`));
    list.push(like('386'));
  } else if (wanted.architecture === 'arm') {
    armDown(Number(wanted.variant?.slice(1)) - 1);
  } else if (wanted.architecture === 'arm64') {
    list.push(...arm64Down(wanted.variant ?? 'v8').map((variant) => like('arm64', variant)));
    armDown(8);
  }
  return list.map(normalisePlatform);
}

/** arm64 v9.x contains every v9 below it and v8.(x+5), which contains every v8 below it. */
function arm64Down(variant: string): string[] {
  const parsed = /^v([89])(?:\.(\d))?$/.exec(variant);
  if (!parsed) return [];
  const name = (major: number, minor: number) => (minor === 0 ? `v${major}` : `v${major}.${minor}`);
  const out: string[] = [];
  let minor = Number(parsed[2] ?? 0);
  if (parsed[1] === '9') {
    for (let lower = minor - 1; lower >= 0; lower--) out.push(name(9, lower));
    minor += 5;
    out.push(name(8, minor));
  }
  for (let lower = minor - 1; lower >= 0; lower--) out.push(name(8, lower));
  return out;
}

/**
 * The manifest of an index that fits `platform` best; the first one among equals. Attestation manifests (platform
 * unknown/unknown) never match. An entry without a platform counts as the last resort when it is the only manifest.
 */
export function bestManifest(index: Index, platform: Platform): Descriptor | undefined {
  for (const accepted of compatiblePlatforms(platform)) {
    const found = index.manifests.find((entry) => entry.platform && samePlatform(accepted, entry.platform));
    if (found) return found;
  }
  const [only, ...more] = index.manifests;
  return only && more.length === 0 && !only.platform ? only : undefined;
}

/** The platforms an index offers, for error messages. */
export function offeredPlatforms(index: Index): readonly string[] {
  return index.manifests.flatMap((entry) =>
    entry.platform && entry.platform.os !== 'unknown' ? [formatPlatform(entry.platform)] : [],
  );
}
