/** The name of a file for which neither the graph nor the server nor the URL has a valid name. */
const FALLBACK = 'download';

/**
 * The name of a downloaded file: the one in the graph, or else the one in the Content-Disposition
 * header, or else the last part of the URL's path. It is always a valid name without slashes,
 * whatever the server sends.
 */
export function fileName(
  url: URL,
  wanted: string | undefined,
  disposition: string | undefined,
): string {
  if (wanted) return safeName(lastElement(wanted));
  const offered = disposition === undefined ? '' : dispositionName(disposition);
  if (offered !== '' && !offered.endsWith('/')) return safeName(lastElement(offered));
  return safeName(lastElement(decoded(url.pathname)));
}

function lastElement(path: string): string {
  return path.replace(/\/+$/, '').split('/').at(-1) ?? '';
}

/** `name`, if a file of a directory can have it. */
export function safeName(name: string): string {
  return name === '' ||
    name === '.' ||
    name === '..' ||
    /[\0/]/.test(name) ||
    Buffer.byteLength(name) > 255
    ? FALLBACK
    : name;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/**
 * The `filename*` or `filename` parameter of Content-Disposition (RFC 6266); '' if there is none.
 */
function dispositionName(text: string): string {
  const extended = /;\s*filename\*\s*=\s*(?:utf-8)'[^']*'([^;\s]+)/i.exec(text)?.[1];
  if (extended !== undefined) return decoded(extended);
  const match = /;\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))/i.exec(text);
  return match?.[1]?.replace(/\\(.)/g, '$1') ?? match?.[2] ?? '';
}
