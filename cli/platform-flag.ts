import { KilnError } from '../base/errors.ts';
import type { Platform } from '../base/platform.ts';
import { hostPlatform, parsePlatformForHost } from '../registry/platforms.ts';

/**
 * `--platform` of a command that takes one, else DOCKER_DEFAULT_PLATFORM, as with docker; undefined
 * when neither says.
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
