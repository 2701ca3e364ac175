import { isDeepStrictEqual } from 'node:util';
import type { Comparable } from '../golden/case.ts';

export type Answer = Comparable | { readonly refused: true; readonly why: string };

/**
 * Lists the differences between two results, one line each. Differences that docs/differences.md
 * lists are left out.
 */
export function differences(kiln: Answer, docker: Answer): string[] {
  if ('refused' in kiln && 'refused' in docker) return [];
  if ('refused' in kiln) return [`Kiln refuses it: ${kiln.why}`];
  if ('refused' in docker) return [`Docker refuses it: ${docker.why}`];
  const found: string[] = [];
  for (const path of [
    ...new Set([...Object.keys(kiln.tree), ...Object.keys(docker.tree)]),
  ].sort()) {
    const [ours, theirs] = [kiln.tree[path], docker.tree[path]];
    if (!isDeepStrictEqual(ours, theirs) && !onlyTime(ours, theirs) && !onlyUmask(ours, theirs))
      found.push(`${path}: ${tell(ours)}, Docker: ${tell(theirs)}`);
  }
  for (const field of [
    ...new Set([...Object.keys(kiln.config), ...Object.keys(docker.config)]),
  ].sort()) {
    const [ours, theirs] = [kiln.config[field], docker.config[field]];
    if (!isDeepStrictEqual(ours, theirs))
      found.push(`config ${field}: ${tell(ours)}, Docker: ${tell(theirs)}`);
  }
  if (kiln.layers !== docker.layers) found.push(`${kiln.layers} layers, Docker: ${docker.layers}`);
  return found;
}

/**
 * True when only the times of a directory differ. A parent directory of what a pattern selects has
 * the time of its source with Kiln, and the present time with Docker.
 */
function onlyTime(
  ours: Comparable['tree'][string] | undefined,
  theirs: Comparable['tree'][string] | undefined,
): boolean {
  if (ours?.['type'] !== 'dir' || theirs?.['mtime'] !== 'build time') return false;
  return isDeepStrictEqual({ ...ours, mtime: 0 }, { ...theirs, mtime: 0 });
}

/**
 * True when only the umask of Docker's daemon makes a difference. It changes the mode of a
 * directory that COPY --chmod creates. Kiln and buildkitd use no umask.
 */
function onlyUmask(
  ours: Comparable['tree'][string] | undefined,
  theirs: Comparable['tree'][string] | undefined,
): boolean {
  if (ours?.['type'] !== 'dir' || !theirs) return false;
  const masked = `0o${(Number(ours['mode']) & ~0o022).toString(8)}`;
  return isDeepStrictEqual({ ...ours, mode: masked, mtime: 0 }, { ...theirs, mtime: 0 });
}

const tell = (entry: unknown) =>
  entry === undefined ? 'as in the base' : entry === null ? 'gone' : JSON.stringify(entry);
