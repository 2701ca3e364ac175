import { endianness, machine } from 'node:os';
import {
  normalisePlatform,
  type Platform,
  parsePlatform as parsePlatformOn,
} from '../base/platform.ts';

/** The platform of the machine that Kiln runs on, normalised. */
export function hostPlatform(): Platform {
  const name = machine();
  // uname says armv7l, armv6l, ppc64, mips64 and so on where OCI says arm/v7, arm/v6, ppc64le,
  // mips64le.
  const arm = /^armv([5-8])/.exec(name);
  if (arm) return normalisePlatform({ os: 'linux', architecture: 'arm', variant: `v${arm[1]}` });
  if (/^i[3-6]86$/.test(name)) return { os: 'linux', architecture: '386' };
  if (name === 'loongarch64') return { os: 'linux', architecture: 'loong64' };
  const little = endianness() === 'LE' && /^(ppc64|mips64|mips)$/.test(name) ? 'le' : '';
  return normalisePlatform({ os: 'linux', architecture: name + little });
}

/**
 * Parses and normalises. A missing os or architecture is that of this host. Throws
 * KILN_PLATFORM_INVALID.
 */
export function parsePlatformForHost(text: string): Platform {
  return parsePlatformOn(text, hostPlatform());
}
