import { KilnError } from './errors.ts';
import { didYouMean } from './suggest.ts';

/**
 * An OCI platform (image-spec, image-index.md) in normal form: `arm64` has no variant `v8`, and
 * `arm` always has a variant.
 */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly osVersion?: string;
  readonly osFeatures?: readonly string[];
}

/**
 * Reads and writes platforms as text, with the rules of containerd/platforms: `os`, `arch`,
 * `os/arch` or `os/arch/variant`, an optional `(osversion+feature)` after the os, and aliases such
 * as x86_64 and aarch64.
 */

const KNOWN_OS = new Set(
  (
    'aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 ' +
    'solaris windows zos'
  ).split(' '),
);
const KNOWN_ARCH = new Set(
  (
    '386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le loong64 mips mipsle mips64 ' +
    'mips64le mips64p32 mips64p32le ppc riscv riscv64 s390 s390x sparc sparc64 wasm'
  ).split(' '),
);

const PART = /^[A-Za-z0-9_.-]+$/;
const OS_PART = /^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?$/;

/**
 * Parses and normalises a platform. When the text names only the os or only the architecture, the
 * other one is that of `host`. Throws KILN_PLATFORM_INVALID.
 */
export function parsePlatform(text: string, host: Platform): Platform {
  const refuse = (sentence: string): never => {
    throw new KilnError('KILN_PLATFORM_INVALID', sentence, {
      hint: 'a platform is OS/ARCH or OS/ARCH/VARIANT, such as linux/amd64 or linux/arm/v7',
    });
  };
  const fail = (why: string) => refuse(`${JSON.stringify(text)} is not a platform: ${why}`);
  if (text.includes('*')) fail('wildcards are not supported');
  const parts = text.split('/');
  const first =
    OS_PART.exec(parts[0] ?? '') ?? fail(`${JSON.stringify(parts[0])} is not an operating system`);
  for (const part of parts.slice(1))
    if (!PART.test(part))
      refuse(
        `${JSON.stringify(part)} is an invalid component of ${JSON.stringify(text)}: platform ` +
          `specifier component must match "${PART.source}": invalid argument`,
      );
  const osVersion = decode(first[2] ?? '');
  const osFeatures = (first[3] ?? '').split('+').slice(1).map(decode);
  const extra = {
    ...(osVersion ? { osVersion } : {}),
    ...(osFeatures.length ? { osFeatures } : {}),
  };
  const [, arch, variant] = parts;
  const os = first[1] as string;
  if (parts.length > 3) fail('it has more than three parts');
  if (arch !== undefined)
    return normalisePlatform({
      os,
      architecture: arch,
      ...(variant === undefined ? {} : { variant }),
      ...extra,
    });

  const ofHost = {
    architecture: host.architecture,
    ...(host.variant === undefined ? {} : { variant: host.variant }),
  };
  const asOs = normalisePlatform({ os, ...ofHost, ...extra });
  if (KNOWN_OS.has(asOs.os)) return asOs;
  const asArch = normalisePlatform({ os: host.os, architecture: os });
  if (!KNOWN_ARCH.has(asArch.architecture))
    fail(`unknown operating system or architecture${didYouMean(os, [...KNOWN_OS, ...KNOWN_ARCH])}`);
  return asArch;
}

/** The platform as `linux/arm/v7`, without os version and features. */
export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, platform.variant].filter(Boolean).join('/');
}

/**
 * The platform with os version and features, in the form that `parsePlatform` reads:
 * `windows(10.0.17763+win32k)/amd64`.
 */
export function formatPlatformInFull(platform: Platform): string {
  const details = [platform.osVersion ?? '', ...(platform.osFeatures ?? [])].map(encode).join('+');
  return formatPlatform(
    details === '' ? platform : { ...platform, os: `${platform.os}(${details})` },
  );
}

/**
 * Makes names canonical: `x86_64` becomes amd64 and `aarch64` becomes arm64. amd64/v1 and arm64/v8
 * lose their variant, and arm without a variant becomes v7.
 */
export function normalisePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase();
  const { architecture, variant } = normaliseArch(
    platform.architecture.toLowerCase(),
    (platform.variant ?? '').toLowerCase(),
  );
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
      return { architecture: 'arm64', variant: /^(8|v8|v8\.0)$/.test(variant) ? '' : variant };
    case 'armhf':
      return { architecture: 'arm', variant: 'v7' };
    case 'armel':
      return { architecture: 'arm', variant: 'v6' };
    case 'arm':
      return {
        architecture: 'arm',
        variant: variant === '' ? 'v7' : /^[5-8]$/.test(variant) ? `v${variant}` : variant,
      };
    default:
      return { architecture: arch, variant };
  }
}

/** What the form itself uses is written as in a URL. */
function encode(text: string): string {
  return text.replace(/[%()+/]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
