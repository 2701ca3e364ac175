import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import { isObject } from '../../registry/json-fields.ts';
import { parsePlatformForHost } from '../../registry/platforms.ts';

/**
 * The parameter `platform`: `linux/arm64`, or a JSON object where the API wants one
 * (`{"os":"linux","architecture":"arm64"}`). Throws KILN_PLATFORM_* and KILN_REQUEST_INVALID.
 */
export function platformParameter(value: string | null | undefined): Platform | undefined {
  if (!value) return undefined;
  return parsePlatformForHost(value.startsWith('{') ? nameIn(value) : value);
}

function nameIn(json: string): string {
  try {
    const platform: unknown = JSON.parse(json);
    if (isObject(platform)) {
      const { os, architecture, variant } = platform;
      return [os, architecture, variant].filter((part) => typeof part === 'string').join('/');
    }
  } catch {
    // Said below.
  }
  throw new KilnError('KILN_REQUEST_INVALID', 'the parameter platform is not a platform', {
    exitCode: 2,
  });
}
