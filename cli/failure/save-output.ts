import { posix } from 'node:path';
import { type Entry, plainEntry } from '../../cache/select/entry.ts';
import { outputError } from '../../exporter/destination.ts';
import { copyEntries } from '../../exporter/local.ts';
import { walkTree } from '../../exporter/result-tree.ts';
import { makeDirectory } from '../../snapshotter/sys/makedirectory.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';
import type { FailedStep } from '../../solver/step-session.ts';
import type { FailureOutput } from '../build-options.ts';

const SETID = 0o6000;

/**
 * Copies files of a failed step into a directory of the user, under their paths in the step.
 * Returns a sentence for the user. Throws KILN_OUTPUT_UNWRITABLE.
 *
 * The root file system of the step is not trusted. Only regular files and directories are copied,
 * without setuid and setgid bits. A symlink on the way to a path is followed inside the root file
 * system. Other symlinks are left out. Mounts of the step are not part of its root file system.
 */
export async function saveFailureOutput(
  { directory, paths }: FailureOutput,
  { spec }: FailedStep,
  signal: AbortSignal,
): Promise<string> {
  const entries = chosenEntries(spec.rootfs, paths, spec.cwd);
  const files = entries.filter(({ kind }) => kind === 'file').length;
  if (entries.length === 0)
    return `no files of the failed step were saved: it has no ${paths.join(', ')}`;
  try {
    makeDirectory(directory);
    using top = openRoot(directory);
    await copyEntries(spec.rootfs, top, entries, { place: '', signal });
  } catch (error) {
    throw outputError(error, directory);
  }
  const count = files === 1 ? '1 file' : `${files} files`;
  return `saved ${count} of the failed step in ${directory}`;
}

function chosenEntries(rootfs: string, paths: readonly string[], cwd: string): Entry[] {
  using root = openRoot(rootfs);
  const chosen = paths
    .map((path) => root.resolve(posix.resolve(cwd, path)))
    .filter((path) => path === '' || root.stat(path) !== undefined);
  const within = (path: string) =>
    chosen.some((one) => one === '' || path === one || path.startsWith(`${one}/`));
  const above = (path: string) => chosen.some((one) => one.startsWith(`${path}/`));
  const isCopied = ({ path, kind }: Entry) =>
    within(path) ? kind === 'file' || kind === 'directory' : kind === 'directory' && above(path);
  return walkTree(rootfs, isCopied).map((entry) => ({
    ...plainEntry(entry),
    mode: entry.mode & ~SETID,
  }));
}
