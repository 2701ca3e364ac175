import { errnoOf, KilnError } from '../../../base/errors.ts';
import { isDirectoryMode } from '../../../cache/select/entry.ts';
import { below } from '../../../cache/select/tree-view.ts';
import { refuseReserved } from '../../../snapshotter/layer/reserved.ts';
import type { Root } from '../../../snapshotter/sys/rooted.ts';
import { applyToName, type Overrides } from './attributes.ts';

/**
 * Where a source goes, as BuildKit decides it (tonistiigi/fsutil copy). Links in the destination
 * are followed inside the root. Parents that are missing are made with mode 0755 (with the mode,
 * when an octal one is given), owned as the copy is.
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
  // The top of a tree has no name of its own: what is in it goes where it was told to go.
  if (intoIt && source.name !== '') target = below(target, source.name);
  makeParents(
    to,
    source.isDirectory && source.contentsOnly && existing === undefined ? target : parentOf(target),
    overrides,
  );
  return target;
}

/** What has to be known of a source to decide where it goes. */
export interface SourceShape {
  readonly isDirectory: boolean;
  /** Of a directory: copy what is in it, not itself. */
  readonly contentsOnly: boolean;
  /** Last component of its path; '' for the top of a tree. */
  readonly name: string;
}

/**
 * `mkdir -p` as COPY does it. `checkPath` is asked about each directory that is made. Throws
 * KILN_NOT_A_DIRECTORY, KILN_LAYER_NAME.
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
  try {
    to.mkdirAll(path, bits, ({ path: made, dir, name }) => {
      checkPath(made);
      applyToName(dir, name, { uid, gid, mode: bits, mtime: overrides.time, xattrs: undefined });
    });
  } catch (error) {
    if (errnoOf(error) === 'ENOTDIR') throw notADirectory(to.resolve(path));
    throw error;
  }
  const made = to.stat(path);
  if (made === undefined || !isDirectoryMode(made.mode)) throw notADirectory(to.resolve(path));
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

export function notADirectory(path: string): KilnError {
  return new KilnError('KILN_NOT_A_DIRECTORY', `"/${path}" in the image is not a directory`, {
    hint: 'name a directory, or one that does not exist yet, as the destination',
  });
}
