import { existsSync } from 'node:fs';
import { KilnError } from '../../base/errors.ts';
import { parseReference, type Reference } from '../../base/reference.ts';
import { fullName } from '../../images/find-image.ts';

/** A source or a destination of `kiln copy`. */
export type ImagePlace =
  | { readonly kind: 'registry'; readonly reference: Reference }
  | { readonly kind: 'store'; readonly name: string }
  | { readonly kind: 'oci'; readonly path: string; readonly tag: string | undefined }
  | { readonly kind: 'oci-archive'; readonly path: string; readonly tag: string | undefined }
  | { readonly kind: 'docker-archive'; readonly path: string; readonly name: string | undefined };

/**
 * Parses `NAME` and `docker://NAME` (a registry), `store:NAME`, `oci:DIRECTORY[:TAG]`,
 * `oci-archive:FILE[:TAG]` and `docker-archive:FILE[:NAME]`, as skopeo writes them. The file `-` is
 * standard output. Throws KILN_REFERENCE_INVALID.
 */
export function parsePlace(text: string): ImagePlace {
  const [, kind, rest = ''] =
    /^(docker|store|oci|oci-archive|docker-archive):(.*)$/s.exec(text) ?? [];
  switch (kind) {
    case 'docker':
      if (rest.startsWith('//'))
        return { kind: 'registry', reference: parseReference(rest.slice(2)) };
      return { kind: 'registry', reference: parseReference(text) };
    case 'store':
      return { kind, name: rest };
    case 'oci':
    case 'oci-archive': {
      const [path, tag] = splitPath(rest, text);
      return { kind, path, tag };
    }
    case 'docker-archive': {
      const [path, name] = splitPath(rest, text);
      return { kind, path, name: name === undefined ? undefined : fullName(name) };
    }
    default:
      return { kind: 'registry', reference: parseReference(text) };
  }
}

/** Splits `PATH[:NAME]`. A path may contain colons, too, so existing files decide where it ends. */
function splitPath(rest: string, text: string): [path: string, name: string | undefined] {
  const end = pathEnd(rest);
  const path = rest.slice(0, end);
  const name = end < rest.length ? rest.slice(end + 1) : undefined;
  if (path === '' || name === '') {
    throw new KilnError(
      'KILN_REFERENCE_INVALID',
      `${JSON.stringify(text)} is not the location of an image: the ` +
        `${path === '' ? 'path' : 'name'} is empty`,
      {
        hint: 'write oci:DIRECTORY, oci-archive:FILE:TAG or docker-archive:FILE:NAME',
      },
    );
  }
  return [path, name];
}

/**
 * Returns where the path ends: after the longest part that exists. When none exists, it ends at the
 * first colon after the longest directory that exists.
 */
function pathEnd(rest: string): number {
  const colons = [...rest.matchAll(/:/g)].map(({ index }) => index);
  const existing = [rest.length, ...colons.toReversed()].find(
    (end) => end > 0 && existsSync(rest.slice(0, end)),
  );
  if (existing !== undefined) return existing;
  const slashes = [...rest.matchAll(/\//g)].map(({ index }) => index);
  const parent = slashes.findLast((end) => existsSync(rest.slice(0, end + 1))) ?? -1;
  return colons.find((end) => end > parent) ?? rest.length;
}
