import { cleanPath } from '../../base/gopath.ts';

/*
 * Paths inside an image, by the rules of Go's package path: always with `/`, and cleaned of `.`,
 * `..` and doubled slashes.
 */

/**
 * Go's path.Join: empty parts do not count. The result is normalised, and empty when all parts are.
 */
export function join(...parts: readonly string[]): string {
  const given = parts.filter((part) => part !== '');
  return given.length === 0 ? '' : cleanPath(given.join('/'));
}

/** Go's path.Base: the last element, or `/` for a root and `.` for nothing. */
export function base(path: string): string {
  if (path === '') return '.';
  const trimmed = path.replace(/\/+$/, '');
  return trimmed === '' ? '/' : trimmed.slice(trimmed.lastIndexOf('/') + 1);
}

export function isAbsolute(path: string): boolean {
  return path.startsWith('/');
}

/**
 * The directory that WORKDIR `next` sets when `current` is the present one. An absolute path is
 * kept as written, not normalised, as in Docker.
 */
export function workingDirectory(current: string, next: string): string {
  const parent = isAbsolute(current) ? current : join('/', current);
  if (next === '') return parent;
  return isAbsolute(next) ? next : join(parent, next);
}

/**
 * A destination as COPY, ADD and the file ops write it: absolute, with relative ones under
 * `directory`. A trailing `/` or `/.` is kept, because it says that the destination is a directory.
 */
export function destination(directory: string, path: string): string {
  const written = path === '' || path === '.' ? './' : path;
  const found = isAbsolute(written) ? cleanPath(written) : join('/', directory, written);
  if (written.endsWith('/') && !found.endsWith('/')) return `${found}/`;
  if (written.endsWith('/.')) return found === '/' ? '/.' : `${found}/.`;
  return found;
}

/** A source path: absolute and normalised. `..` cannot leave the root. */
export function sourcePath(path: string): string {
  return join('/', path);
}
