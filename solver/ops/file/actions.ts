import { closeSync, writeSync } from 'node:fs';
import { errnoOf, KilnError } from '../../../base/errors.ts';
import { cleanPath } from '../../../base/gopath.ts';
import { viewTree } from '../../../cache/select/tree-view.ts';
import { expandWildcards } from '../../../cache/select/wildcard.ts';
import { refuseReserved } from '../../../snapshotter/layer/reserved.ts';
import type { Root } from '../../../snapshotter/sys/rooted.ts';
import type { FileActionMkDir, FileActionMkFile, FileActionSymlink } from '../../llb/file-op.ts';
import { applyToFd, applyToName, type Overrides } from './attributes.ts';
import { makeParents } from './destination.ts';

/**
 * The file actions that read no other file. Their paths are resolved inside the root, symlinks
 * included, as BuildKit does.
 */

/**
 * Makes a directory, with its parents if the action says so. An existing file or directory is left
 * unchanged. Throws KILN_NO_PARENT or KILN_NOT_A_DIRECTORY.
 */
export function performMkdir(to: Root, action: FileActionMkDir, overrides: Overrides): void {
  const mode = action.mode & 0o777;
  if (action.makeParents) {
    makeParents(to, action.path, overrides, mode);
    return;
  }
  const path = to.resolve(action.path);
  // Whatever already exists is left unchanged.
  if (path === '' || to.stat(path, { follow: false })) return;
  if (!to.stat(parentOf(path))) throw missingParent(action.path);
  makeParents(to, path, overrides, mode);
}

/**
 * Makes a file. An existing regular file is replaced and its mode and owner are kept. Throws
 * KILN_NO_PARENT, KILN_NOT_A_FILE or KILN_LAYER_NAME.
 */
export function makeFile(to: Root, action: FileActionMkFile, overrides: Overrides): void {
  const path = to.resolve(action.path);
  const fd = openForWriting(to, path, action);
  try {
    for (let at = 0; at < action.data.length; ) at += writeSync(fd, action.data, at);
    const { uid, gid } = overrides.owner ?? { uid: 0, gid: 0 };
    applyToFd(fd, { uid, gid, mode: undefined, mtime: overrides.time, xattrs: undefined });
  } finally {
    closeSync(fd);
  }
}

function openForWriting(to: Root, path: string, action: FileActionMkFile): number {
  const there = path === '' ? to.stat('') : to.stat(path, { follow: false });
  if (!there) {
    if (!to.stat(parentOf(path))) throw missingParent(action.path);
    refuseReserved(path);
    const fd = to.create(path, 0o600);
    applyToFd(fd, {
      uid: 0,
      gid: 0,
      mode: action.mode & 0o777,
      mtime: undefined,
      xattrs: undefined,
    });
    return fd;
  }
  if ((there.mode & 0o170000) !== 0o100000)
    throw new KilnError(
      'KILN_NOT_A_FILE',
      `"/${path}" in the image already exists and is not a regular file`,
    );
  // The file is replaced and not written to: it may be a file of a committed layer (see Writer in
  // snapshotter.ts).
  to.remove(path);
  const fd = to.create(path, 0o600);
  applyToFd(fd, {
    uid: there.uid,
    gid: there.gid,
    mode: there.mode & 0o7777,
    mtime: undefined,
    xattrs: undefined,
  });
  return fd;
}

/**
 * Removes a path. Its last component is never followed if it is a symlink, and `..` stops at the
 * root. Throws KILN_RM_ROOT, and KILN_RM_NOT_FOUND unless `allowNotFound` is set.
 */
export function remove(
  to: Root,
  root: string,
  action: {
    readonly path: string;
    readonly allowNotFound: boolean;
    readonly allowWildcard: boolean;
  },
): void {
  using view = viewTree({ root });
  const paths = action.allowWildcard
    ? (expandWildcards(view, action.path, false) ?? [])
    : [action.path];
  for (const path of paths) {
    const clean = cleanPath(`/${path}`).slice(1);
    if (clean === '')
      throw new KilnError(
        'KILN_RM_ROOT',
        `cannot remove "${action.path}": it is the root of the image`,
      );
    const found = to.remove(clean);
    if (!found && !action.allowNotFound)
      throw new KilnError('KILN_RM_NOT_FOUND', `"/${clean}": not found`);
  }
}

/** Makes a symlink. Throws KILN_SYMLINK_EXISTS if the path already exists, or KILN_LAYER_NAME. */
export function makeSymlink(to: Root, action: FileActionSymlink, overrides: Overrides): void {
  const path = to.resolve(action.newpath);
  refuseReserved(path);
  const { dir, name } = to.parent(path);
  try {
    to.symlink(action.oldpath, path);
    const { uid, gid } = overrides.owner ?? { uid: 0, gid: 0 };
    applyToName(dir, name, { uid, gid, mode: undefined, mtime: overrides.time, xattrs: undefined });
  } catch (error) {
    if (errnoOf(error) === 'EEXIST')
      throw new KilnError('KILN_SYMLINK_EXISTS', `"/${path}" in the image already exists`);
    throw error;
  } finally {
    closeSync(dir);
  }
}

function missingParent(path: string): KilnError {
  return new KilnError(
    'KILN_NO_PARENT',
    `the parent directory of "${path}" does not exist in the image`,
  );
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}
