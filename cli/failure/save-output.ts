import { mkdirSync } from 'node:fs';
import { posix } from 'node:path';
import { type Entry, plainEntry } from '../../cache/select/entry.ts';
import { outputError } from '../../exporter/destination.ts';
import { copyEntries } from '../../exporter/local.ts';
import { walkTree } from '../../exporter/result-tree.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';
import type { FailedStep } from '../../solver/step-session.ts';
import type { FailureOutput } from '../build-options.ts';

const SETID = 0o6000;

/**
 * Copies the chosen paths of a failed step's tree into the user's directory, under the paths that
 * they have in the tree; answers what to tell. The tree is a stranger's: only files and directories
 * are copied, without setuid and setgid, and a link is followed inside the tree when it is on the
 * way to a path, else left out. What was mounted into the step is not part of its tree.
 */
export async function saveFailureOutput(
  { directory, paths }: FailureOutput,
  { spec }: FailedStep,
  signal: AbortSignal,
): Promise<string> {
  const entries = chosenEntries(spec.rootfs, paths, spec.cwd);
  const files = entries.filter(({ kind }) => kind === 'file').length;
  if (entries.length === 0)
    return `nothing is kept of the failed step: it has no ${paths.join(', ')}`;
  try {
    mkdirSync(directory, { recursive: true });
    using top = openRoot(directory);
    await copyEntries(spec.rootfs, top, entries, { place: '', signal });
  } catch (error) {
    throw outputError(error, directory);
  }
  return `${files === 1 ? '1 file' : `${files} files`} of the failed step: see ${directory}`;
}

function chosenEntries(rootfs: string, paths: readonly string[], cwd: string): Entry[] {
  using root = openRoot(rootfs);
  const chosen = paths
    .map((path) => root.resolve(posix.resolve(cwd, path)))
    .filter((path) => path === '' || root.stat(path) !== undefined);
  const within = (path: string) =>
    chosen.some((one) => one === '' || path === one || path.startsWith(`${one}/`));
  const above = (path: string) => chosen.some((one) => one.startsWith(`${path}/`));
  const wanted = ({ path, kind }: Entry) =>
    within(path) ? kind === 'file' || kind === 'directory' : kind === 'directory' && above(path);
  return walkTree(rootfs, wanted).map((entry) => ({
    ...plainEntry(entry),
    mode: entry.mode & ~SETID,
  }));
}
