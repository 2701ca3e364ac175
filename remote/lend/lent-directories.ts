import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { Code, ConnectError } from '@connectrpc/connect';
import type { InnerMethod } from '../../api/grpc/inner-server.ts';
import { FILE_SYNC, wantedIn } from '../../api/session/filesync/diff-copy.ts';
import { goMode } from '../../api/session/filesync/go-mode.ts';
import type { FileStat } from '../../api/session/filesync/packet.ts';
import { sendFiles } from '../../api/session/filesync/send-files.ts';
import { messageOf } from '../../base/errors.ts';
import { contentXattrs, xattrCounts } from '../../cache/contenthash/xattrs.ts';
import type { Entry } from '../../cache/select/entry.ts';
import { select } from '../../cache/select/select.ts';
import { type TreeView, viewTree } from '../../cache/select/tree-view.ts';
import type { Stat } from '../../snapshotter/sys/calls.ts';
import { O } from '../../snapshotter/sys/constants.ts';
import { openRoot, type Root } from '../../snapshotter/sys/rooted.ts';
import { listXattrs } from '../../snapshotter/sys/xattr.ts';
import type { WantedFiles } from '../../solver/step-session.ts';
import { followedPaths } from './followed-paths.ts';

/** A server names so many patterns of one directory at most. */
const MAX_PATTERNS = 100_000;

export interface LentTree {
  /** The absolute path. */
  readonly path: string;
  /** When given, only these files of the directory are lent. */
  readonly only?: readonly string[];
}

/**
 * Answers for the directories of the caller, by their names: a server gets the files that it wants
 * of them, and no directory that is not lent. Links inside a directory are sent as links.
 */
export function lentDirectories(
  directories: ReadonlyMap<string, LentTree>,
): readonly [path: string, answer: InnerMethod] {
  return [
    FILE_SYNC,
    async ({ stream, metadata }) => {
      const { name, ...wanted } = wantedIn(metadata);
      const directory = directories.get(name);
      if (!directory)
        throw new ConnectError(`no access allowed to dir ${JSON.stringify(name)}`, Code.NotFound);
      if (wanted.include.length + wanted.exclude.length + wanted.follow.length > MAX_PATTERNS)
        throw new ConnectError('too many patterns', Code.ResourceExhausted);
      using root = openRoot(directory.path);
      await sendFiles(stream, {
        files: filesOf(directory, root, wanted),
        open: (file) => root.open(file, O.RDONLY | O.NONBLOCK, { follow: false }),
      });
    },
  ];
}

function* filesOf(
  { path, only }: LentTree,
  root: Root,
  { include, exclude, follow }: Pick<WantedFiles, 'include' | 'exclude' | 'follow'>,
): Generator<FileStat> {
  const entries = selected(path, (view) => {
    const followed = follow.length === 0 ? [] : followedPaths(view, follow);
    return { include: followed === 'all' ? [] : [...include, ...followed], exclude };
  });
  const names = new Map<string, string>();
  for (const entry of entries) {
    if (only && !only.includes(entry.rel)) continue;
    const stat = root.stat(entry.rel, { follow: false });
    // A file that is removed meanwhile is not there.
    if (entry.rel !== '' && entry.kind !== 'socket' && stat)
      yield { ...statOf(entry, stat, names), xattrs: xattrsOf(path, root, entry) };
  }
}

function selected(
  root: string,
  patterns: (view: TreeView) => { readonly include: string[]; readonly exclude: readonly string[] },
): readonly Entry[] {
  const plain = { paths: ['/'], wildcard: false, followLinks: false };
  using view = viewTree({ root });
  try {
    return select({ root }, { ...plain, ...patterns(view) })[0]?.entries ?? [];
  } catch (error) {
    throw new ConnectError(messageOf(error), Code.InvalidArgument);
  }
}

/** The attributes that belong to the content of a file or directory. */
function xattrsOf(directory: string, root: Root, { rel, kind }: Entry): FileStat['xattrs'] {
  if (kind !== 'file' && kind !== 'directory') return NO_XATTRS;
  // This look costs least, and nothing that it finds is told.
  if (!mayHaveXattrs(join(directory, rel))) return NO_XATTRS;
  try {
    const fd = root.open(rel, O.RDONLY | O.NONBLOCK, { follow: false });
    try {
      return new Map(contentXattrs(fd));
    } finally {
      closeSync(fd);
    }
  } catch {
    // Whoever may not read the file finds out when its content is asked for.
    return NO_XATTRS;
  }
}

const NO_XATTRS: FileStat['xattrs'] = new Map();

function mayHaveXattrs(path: string): boolean {
  try {
    return listXattrs(path).some(xattrCounts);
  } catch {
    return true;
  }
}

/** Whoever the files belong to here, they belong to root in an image. */
function statOf(entry: Entry, stat: Stat, names: Map<string, string>): Omit<FileStat, 'xattrs'> {
  const isFile = entry.kind === 'file';
  const inode = `${entry.dev}:${entry.ino}`;
  const earlier = isFile && entry.nlink > 1 ? names.get(inode) : undefined;
  if (isFile && entry.nlink > 1 && earlier === undefined) names.set(inode, entry.rel);
  return {
    path: entry.rel,
    mode: goMode(entry.mode),
    uid: 0,
    gid: 0,
    size: isFile ? stat.size : 0,
    modTime: BigInt(stat.mtime.sec) * 1_000_000_000n + BigInt(stat.mtime.nsec),
    linkname: entry.link ?? earlier ?? '',
  };
}
