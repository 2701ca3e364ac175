import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';

/* Platform specifiers `os[(version)][/arch[/variant]]`, by the rules of containerd's platforms package. */

const ARCHES: Readonly<Record<string, readonly [string, string]>> = {
  i386: ['386', ''],
  x86_64: ['amd64', ''],
  'x86-64': ['amd64', ''],
  aarch64: ['arm64', ''],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
};

const KNOWN_OS =
  /^(aix|android|darwin|dragonfly|freebsd|hurd|illumos|ios|js|linux|macos|nacl|netbsd|openbsd|plan9|solaris|windows|zos)$/;
const KNOWN_ARCH =
  /^(386|amd64|amd64p32|arm|armbe|arm64|arm64be|ppc64|ppc64le|loong64|mips|mipsle|mips64|mips64le|riscv|riscv64|s390|s390x|sparc|sparc64|wasm)$/;

/** The platform with the names and variants that the OCI index uses. */
export function normalizePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase() === 'macos' ? 'darwin' : platform.os.toLowerCase();
  const [architecture, variant] = normalizeArch(platform.architecture, platform.variant ?? '');
  return {
    os,
    architecture,
    ...(variant && { variant }),
    ...(platform.osVersion && { osVersion: platform.osVersion }),
    ...(platform.osFeatures && { osFeatures: platform.osFeatures }),
  };
}

function normalizeArch(arch: string, variant: string): readonly [string, string] {
  const lower = arch.toLowerCase();
  const [name, implied] = ARCHES[lower] ?? [lower, variant.toLowerCase()];
  if (name === 'amd64' && implied === 'v1') return [name, ''];
  if (name === 'arm64' && (implied === '8' || implied === 'v8' || implied === 'v8.0')) return [name, ''];
  if (name === 'arm' && (implied === '' || implied === '7')) return [name, 'v7'];
  if (name === 'arm' && /^[568]$/.test(implied)) return [name, `v${implied}`];
  return [name, implied];
}

/** `host` fills in what a specifier with only an os or only an architecture leaves out. Throws KILN_PLATFORM_INVALID. */
export function parsePlatform(specifier: string, host: Platform): Platform {
  const parts = specifier.split('/');
  const bad = (): KilnError =>
    new KilnError('KILN_PLATFORM_INVALID', `${JSON.stringify(specifier)} is not a platform`, {
      hint: 'write it as os/architecture, such as linux/amd64 or linux/arm/v7',
    });
  if (parts.length > 3) throw bad();
  const [first = '', arch, variant = ''] = parts;
  const match = /^([A-Za-z0-9_.-]+)(?:\(([^()]*)\))?$/.exec(first);
  if (!match || !parts.slice(1).every((part) => /^[A-Za-z0-9_.-]+$/.test(part))) throw bad();
  const [, os = '', osVersion = ''] = match;
  const version = osVersion && { osVersion };
  if (arch !== undefined) return normalizePlatform({ os, architecture: arch, variant, ...version });
  if (KNOWN_OS.test(os.toLowerCase())) {
    return normalizePlatform({ os, architecture: host.architecture, ...(host.variant && { variant: host.variant }), ...version });
  }
  const [architecture, implied] = normalizeArch(os, '');
  if (!KNOWN_ARCH.test(architecture)) throw bad();
  return normalizePlatform({ os: host.os, architecture, ...(implied && { variant: implied }), ...version });
}

/** `linux/arm/v7`, `windows(10.0.17763)/amd64`. */
export function formatPlatform(platform: Platform): string {
  const version = platform.osVersion ? `(${platform.osVersion})` : '';
  return [`${platform.os}${version}`, platform.architecture, platform.variant].filter(Boolean).join('/');
}
