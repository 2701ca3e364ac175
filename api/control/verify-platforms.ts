import { messageOf } from '../../base/errors.ts';
import type { ImageConfig } from '../../base/oci.ts';
import { formatPlatformInFull, normalisePlatform, type Platform } from '../../base/platform.ts';
import type { BuildAnswer } from '../../builder/bridge.ts';
import { hostPlatform, parsePlatformForHost } from '../../registry/platforms.ts';
import { PLATFORMS } from '../gateway/result-messages.ts';

/** The platforms of longer lists are not looked at. */
const MAX_PLATFORMS = 100;

/**
 * Compares the platforms of a result with those that the client asked for: `wanted` is its option
 * `platform`, the platform of this host when undefined. Returns a warning for what differs, in the
 * words of BuildKit. A result without targets has nothing to compare.
 */
export function verifyPlatforms(
  { targets, metadata }: Pick<BuildAnswer, 'targets' | 'metadata'>,
  wanted: string | undefined,
): string[] {
  const isMapped = metadata?.[PLATFORMS] !== undefined;
  if (!isMapped && targets.every(({ edge }) => edge === undefined)) return [];
  const warnings: string[] = [];
  const asked = new Map<string, Platform>();
  const texts = (wanted ?? formatPlatformInFull(hostPlatform())).split(',', MAX_PLATFORMS);
  for (const text of texts) {
    try {
      const platform = parsePlatformForHost(text);
      const name = formatPlatformInFull(platform);
      if (asked.has(name))
        warnings.push(`Duplicate platform result requested ${JSON.stringify(text)}`);
      asked.set(name, platform);
    } catch (error) {
      const about = `Invalid platform result requested ${JSON.stringify(text)}`;
      warnings.push(`${about}: ${messageOf(error)}`);
    }
  }
  if (warnings.length > 0) return warnings;
  // Without a mapping the config says what the result is for.
  const built = targets.map(({ platform, config }) =>
    isMapped ? platform : platformOfConfig(config),
  );
  const [only] = built;
  if (asked.size === 1 && built.length === 1 && only) {
    const { osVersion, ...rest } = only;
    // Who asks for a platform seldom asks for a version of it.
    const isAsked = [...asked].some(
      ([name, { osVersion: version }]) =>
        name === formatPlatformInFull(only) ||
        (version === undefined && name === formatPlatformInFull(rest)),
    );
    const result = JSON.stringify(formatPlatformInFull(only));
    return isAsked
      ? []
      : [`Requested platform ${JSON.stringify(texts[0])} does not match result platform ${result}`];
  }
  if (!isMapped && built.length === 1)
    return ['Multiple platforms requested but result is not multi-platform'];
  const names = built.map(formatPlatformInFull);
  if (asked.size === names.length && names.every((name) => asked.has(name))) return [];
  const list = (all: Iterable<string>) => [...all].sort().join();
  return [`Requested platforms ${list(asked.keys())} do not match result platforms ${list(names)}`];
}

function platformOfConfig({ os, architecture, variant, ...config }: ImageConfig): Platform {
  const osVersion = config['os.version'];
  return normalisePlatform({
    os,
    architecture,
    ...(variant !== undefined && { variant }),
    ...(osVersion !== undefined && { osVersion }),
  });
}
