import { errnoOf, KilnError } from '../../../base/errors.ts';
import { isDirectoryMode } from '../../../cache/select/entry.ts';
import { below } from '../../../cache/select/tree-view.ts';
import { refuseReserved } from '../../../snapshotter/layer/reserved.ts';
import type { Root } from '../../../snapshotter/sys/rooted.ts';
import { applyToName, type Overrides } from './attributes.ts';

/**
 * The path in `to` where a source of a COPY goes, by BuildKit's rules (tonistiigi/fsutil copy).
 * Symlinks in the destination are followed inside the root. Missing parents are made, with the
 * owner of the copy. Their mode is 0755, or an octal `--chmod`.
 */
export function prepareTarget(
  to: Root,
  dest: string,
  source: SourceShape,
  overrides: Overrides,
): string {
  const slash = dest.lastIndexOf('/');
  const last = dest.slice(slash + 1);
  makeParents(to, last === '' || last === '.' ? dest : dest.slice(0, slash + 1), overrides);
  let target = to.resolve(dest);
  const existing = to.stat(target);
  const intoIt = source.isDirectory
    ? !source.contentsOnly && existing !== undefined
    : existing !== undefined && isDirectoryMode(existing.mode);
  // The top of a tree has no name, so its contents go directly to the destination.
  if (intoIt && source.name !== '') target = below(target, source.name);
  makeParents(
    to,
    source.isDirectory && source.contentsOnly && existing === undefined ? target : parentOf(target),
    overrides,
  );
  return target;
}

/** What decides where a source goes. */
export interface SourceShape {
  readonly isDirectory: boolean;
  /** For a directory: its contents are copied and not the directory itself. */
  readonly contentsOnly: boolean;
  /** The last component of the path; '' for the top of a tree. */
  readonly name: string;
}

/**
 * Makes a directory and its parents like `mkdir -p`, as COPY does. `checkPath` is called with each
 * directory that is made and may throw; by default it throws KILN_LAYER_NAME. Throws
 * KILN_NOT_A_DIRECTORY if a part of the path is a file.
 */
export function makeParents(
  to: Root,
  path: string,
  overrides: Overrides,
  mode = 0o755,
  checkPath = refuseReserved,
): void {
  const bits = overrides.mode?.absolute === undefined ? mode : overrides.mode.absolute & 0o777;
  const { uid, gid } = overrides.owner ?? { uid: 0, gid: 0 };
  let resolved: string;
  try {
    resolved = to.mkdirAll(path, bits, ({ path: made, dir, name }) => {
      checkPath(made);
      applyToName(dir, name, { uid, gid, mode: bits, mtime: overrides.time, xattrs: undefined });
    });
  } catch (error) {
    if (errnoOf(error) === 'ENOTDIR') throw notADirectory(to.resolve(path));
    throw error;
  }
  // Not the path as it is given: what it leaves again by `..` was not made.
  const made = to.stat(resolved);
  if (made === undefined || !isDirectoryMode(made.mode)) throw notADirectory(to.resolve(path));
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

/** The KILN_NOT_A_DIRECTORY error for a path in the image. */
export function notADirectory(path: string): KilnError {
  return new KilnError('KILN_NOT_A_DIRECTORY', `"/${path}" in the image is not a directory`, {
    hint: 'name a directory, or one that does not exist yet',
  });
}
