import type { Platform } from '../base/platform.ts';
import { hostPlatform, parsePlatformForHost } from '../registry/platforms.ts';
import { atFlag } from './flag-error.ts';

/**
 * Returns the platform of `--platform`, else of DOCKER_DEFAULT_PLATFORM, as docker does. Undefined
 * when neither is set. Throws KILN_PLATFORM_INVALID, which names the one that is wrong.
 */
export function platformFlag(
  flag: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Platform | undefined {
  const text = flag ?? (env['DOCKER_DEFAULT_PLATFORM'] || undefined);
  if (text === undefined) return undefined;
  if (text === 'local') return hostPlatform();
  const source = flag === undefined ? 'DOCKER_DEFAULT_PLATFORM' : '--platform';
  return atFlag(source, () => parsePlatformForHost(text));
}
