import { formatPurl } from '../attest/purl.ts';
import {
  type Distribution,
  type FoundPackage,
  soundLicence,
  soundName,
  soundVersion,
} from './package.ts';

/**
 * Parses the databases of package managers as text. They come from an image and are not trusted: a
 * malformed entry is left out, and accepted values are short and printable.
 */

/**
 * dpkg's status file: paragraphs of `Field: value`. Only installed packages are returned
 * (deb-control(5), dpkg-query(1)).
 */
export function dpkgPackages(
  text: string,
  foundIn: string,
  { id, version: release }: Distribution,
): FoundPackage[] {
  return paragraphs(text).flatMap((fields) => {
    const named = sound(fields.get('Package'), fields.get('Version'));
    const [arch, status] = [fields.get('Architecture'), fields.get('Status')];
    if (!named || (status !== undefined && !status.endsWith(' installed'))) return [];
    const { name, version } = named;
    const namespace = id === '' ? 'debian' : id;
    const qualifiers = {
      arch: arch && soundName(arch) ? arch : undefined,
      distro: release && `${namespace}-${release}`,
    };
    return {
      name,
      version,
      purl: formatPurl({ type: 'deb', name: `${namespace}/${name}`, version, qualifiers }),
      foundIn,
    };
  });
}

/**
 * apk's installed database: paragraphs of `P:name`, `V:version`, `A:arch`, `L:licence`
 * (wiki.alpinelinux.org, Apk_spec).
 */
export function apkPackages(
  text: string,
  foundIn: string,
  { id, version: release }: Distribution,
): FoundPackage[] {
  return text.split(/\n\n+/).flatMap((paragraph) => {
    const field = (letter: string) => new RegExp(`^${letter}:(.*)$`, 'm').exec(paragraph)?.[1];
    const named = sound(field('P'), field('V'));
    const arch = field('A');
    if (!named) return [];
    const { name, version } = named;
    const namespace = id === '' ? 'alpine' : id;
    const qualifiers = {
      arch: arch && soundName(arch) ? arch : undefined,
      distro: release && `${namespace}-${release}`,
    };
    const purl = formatPurl({ type: 'apk', name: `${namespace}/${name}`, version, qualifiers });
    return { name, version, licence: soundLicence(field('L')), purl, foundIn };
  });
}

/** A package.json of an installed npm package (docs.npmjs.com, package.json). */
export function npmPackage(text: string, foundIn: string): FoundPackage | undefined {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof document !== 'object' || document === null) return undefined;
  const { license, ...fields } = document as Record<string, unknown>;
  const named = sound(fields['name'], fields['version']);
  if (!named) return undefined;
  const { name, version } = named;
  const licence = soundLicence(typeof license === 'string' ? license : undefined);
  return { name, version, licence, purl: formatPurl({ type: 'npm', name, version }), foundIn };
}

/** os-release(5) */
export function distributionOf(text: string | undefined): Distribution {
  const field = (name: string) =>
    new RegExp(`^${name}=["']?([\\w.-]{1,64})["']?$`, 'm').exec(text ?? '')?.[1] ?? '';
  return { id: field('ID'), version: field('VERSION_ID') };
}

function sound(
  name: unknown,
  version: unknown,
): { readonly name: string; readonly version: string } | undefined {
  if (typeof name !== 'string' || typeof version !== 'string') return undefined;
  return soundName(name) && soundVersion(version) ? { name, version } : undefined;
}

function paragraphs(text: string): ReadonlyMap<string, string>[] {
  return text.split(/\n\n+/).map((paragraph) => {
    const fields = paragraph.split('\n').flatMap((line): [string, string][] => {
      const colon = line.indexOf(': ');
      return colon > 0 && !/^\s/.test(line)
        ? [[line.slice(0, colon), line.slice(colon + 2).trim()]]
        : [];
    });
    return new Map(fields);
  });
}
