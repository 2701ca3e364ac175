import { KilnError } from '../base/errors.ts';
import type { Platform } from '../base/platform.ts';
import { hostPlatform, parsePlatformForHost } from '../registry/platforms.ts';

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
  try {
    return parsePlatformForHost(text);
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    const place = {
      kind: 'flag',
      flag: flag === undefined ? 'DOCKER_DEFAULT_PLATFORM' : '--platform',
    } as const;
    throw new KilnError(error.code, error.message, { place, hint: error.hint, exitCode: 2 });
  }
}
