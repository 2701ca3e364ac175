import { formatPlatform, type Platform } from '../../base/platform.ts';
import { familiarName, type Reference } from '../../base/reference.ts';

/** Package URLs (package-url/purl-spec): `pkg:TYPE/NAMESPACE/NAME@VERSION?QUALIFIERS`. */
export interface Purl {
  readonly type: string;
  /** The name with its namespace, separated by slashes. */
  readonly name: string;
  readonly version?: string | undefined;
  readonly qualifiers?: Readonly<Record<string, string | undefined>> | undefined;
}

export function formatPurl({ type, name, version, qualifiers = {} }: Purl): string {
  const path = name.split('/').map(encodeURIComponent).join('/');
  const given = Object.entries(qualifiers)
    .filter((entry): entry is [string, string] => Boolean(entry[1]))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${encodeURIComponent(value)}`);
  return (
    `pkg:${type}/${path}${version ? `@${versionOf(version)}` : ''}` +
    `${given.length > 0 ? `?${given.join('&')}` : ''}`
  );
}

/** In a version the colon of an epoch stays. In a name the colon before a port is encoded. */
function versionOf(text: string): string {
  return encodeURIComponent(text).replaceAll('%3A', ':');
}

/**
 * The package URL of an image, as BuildKit writes it: with the tag as version, or with the digest
 * as a qualifier.
 */
export function imagePurl(
  type: 'docker' | 'oci',
  { domain, path, tag, digest }: Reference,
  platform: Platform,
): string {
  const repository = familiarName({ domain, path });
  return formatPurl({
    type,
    name: repository,
    version: tag,
    qualifiers: {
      digest: tag === undefined ? digest : undefined,
      platform: formatPlatform(platform),
    },
  });
}
