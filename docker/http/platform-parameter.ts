import type { Platform } from '../../base/platform.ts';
import { parsePlatformForHost } from '../../registry/platforms.ts';

/** The parameter `platform`, such as `linux/arm64`. Throws KILN_PLATFORM_*. */
export function platformParameter(value: string | null): Platform | undefined {
  if (!value) return undefined;
  return parsePlatformForHost(value);
}
