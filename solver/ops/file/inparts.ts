import { divide } from '../../../base/divide.ts';
import type { FileActionCopy } from '../../llb/file-op.ts';
import type { Overrides } from './attributes.ts';
import { type Begun, beginTree, finishTree, type TreeCopy } from './copytree.ts';
import type { EarlierCopy } from './earlier.ts';
import type { FileStep } from './steps.ts';

/** Copies and links files on worker threads. Jobs are plain data. */
export interface CopyPool {
  readonly threads: number;
  copy(job: CopyJob, signal: AbortSignal): Promise<void>;
  /** Returns the indexes of the paths that could not be linked. */
  link(job: LinkJob, signal: AbortSignal): Promise<readonly number[]>;
}

/** Files to copy from the tree `from` to the tree `to`, whose directories exist. */
export interface CopyJob {
  readonly from: string;
  readonly to: string;
  readonly files: readonly FileStep[];
  readonly overrides: PlainOverrides;
}

/** Files of a committed layer that are linked into another layer under the same paths. */
export interface LinkJob {
  readonly from: string;
  readonly to: string;
  readonly paths: readonly string[];
}

/** Overrides as plain data for a thread: the mode is text. */
export interface PlainOverrides {
  readonly owner: Overrides['owner'];
  readonly mode: string | undefined;
  readonly time: Overrides['time'];
}

/** What a copy on several threads needs of a CopyTask. */
export interface SharedCopy {
  readonly copy: FileActionCopy;
  readonly tree: { readonly root: string };
  readonly to: string;
  readonly upper?: string | undefined;
  readonly overrides: Overrides;
  readonly pool: CopyPool;
  readonly earlier?: EarlierCopy | undefined;
}

/**
 * Makes a large copy on several threads. Returns the files that were written directly into `upper`.
 */
export async function copyInParts(
  task: SharedCopy,
  job: TreeCopy,
  signal: AbortSignal,
): Promise<readonly FileStep[]> {
  const begun: Begun = beginTree(job);
  const parts = task.pool.threads * 4;
  const overrides = {
    owner: task.overrides.owner,
    mode: task.copy.modeStr ?? octal(task.copy.mode),
    time: task.overrides.time,
  };
  const share = (files: readonly FileStep[], to: string) =>
    divide(files, parts, weight).map((part) =>
      task.pool.copy({ from: task.tree.root, to, files: part, overrides }, signal),
    );
  const { upper } = task;
  const { direct, mounted } =
    upper === undefined ? { direct: [], mounted: begun.files } : byRoute(begun);
  const unlinked = task.earlier
    ? await linkUnchanged(task.pool, task.earlier, direct, upper ?? '', signal)
    : direct;
  await Promise.all([...share(unlinked, upper ?? ''), ...share(mounted, task.to)]);
  finishTree(job, begun);
  return direct;
}

/** Links the files that the earlier copy holds. Returns those that must still be copied. */
async function linkUnchanged(
  pool: CopyPool,
  earlier: EarlierCopy,
  files: readonly FileStep[],
  to: string,
  signal: AbortSignal,
): Promise<readonly FileStep[]> {
  const known = files.filter((file) => earlier.has(file));
  const linked = new Set(known);
  await Promise.all(
    divide(known, pool.threads * 2, weight).map(async (part) => {
      const failed = await pool.link(
        { from: earlier.files, to, paths: part.map(({ target }) => target) },
        signal,
      );
      for (const index of failed) linked.delete(part[index]!);
    }),
  );
  return files.filter((file) => !linked.has(file));
}

/**
 * Decides which files are written past the overlay, directly into its upper directory. That is
 * possible for a file in a directory that this copy made: no lower layer has that directory, and
 * the overlay has not looked up anything in it. It halves the time in the kernel. A file with
 * several names is written through the mount, because its other names are.
 */
function byRoute({ files, links, fresh }: Begun): { direct: FileStep[]; mounted: FileStep[] } {
  const linked = new Set(links.map(({ first }) => first));
  const direct: FileStep[] = [];
  const mounted: FileStep[] = [];
  for (const file of files) {
    const parent = file.target.slice(0, Math.max(0, file.target.lastIndexOf('/')));
    (fresh.has(parent) && !linked.has(file.target) ? direct : mounted).push(file);
  }
  return { direct, mounted };
}

function octal(mode: number): string | undefined {
  return mode === -1 ? undefined : (mode & 0o7777).toString(8);
}

/** The cost of a file. Opening and creating it takes as long as copying 64 KiB. */
const weight = (file: FileStep) => 65536 + file.size;
