import { divide } from '../../../base/divide.ts';
import type { FileActionCopy } from '../../llb/ops.ts';
import type { Overrides } from './attributes.ts';
import { type Begun, beginTree, finishTree, type TreeCopy } from './copytree.ts';
import type { EarlierCopy } from './earlier.ts';
import type { FileStep } from './steps.ts';

/** Copies and links files on worker threads. Jobs are plain data. */
export interface CopyPool {
  readonly threads: number;
  copy(job: CopyJob, signal: AbortSignal): Promise<void>;
  /** Answers the indexes of the paths that could not be linked. */
  link(job: LinkJob, signal: AbortSignal): Promise<readonly number[]>;
}

export interface CopyJob {
  readonly from: string;
  readonly to: string;
  readonly files: readonly FileStep[];
  readonly overrides: PlainOverrides;
}

/** Files of one committed layer that another layer is to have too, under the same paths. */
export interface LinkJob {
  readonly from: string;
  readonly to: string;
  readonly paths: readonly string[];
}

/** Overrides as they go to a thread: a mode as text. */
export interface PlainOverrides {
  readonly owner: Overrides['owner'];
  readonly mode: string | undefined;
  readonly time: Overrides['time'];
}

/** The part of a CopyTask that is needed here. */
export interface SharedCopy {
  readonly copy: FileActionCopy;
  readonly tree: { readonly root: string };
  readonly to: string;
  readonly upper?: string | undefined;
  readonly overrides: Overrides;
  readonly pool: CopyPool;
  readonly earlier?: EarlierCopy | undefined;
}

/** A large copy, shared among threads. Answers the files that went straight into `upper`. */
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

/** Links what the earlier copy holds; answers the files that are still to be copied. */
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
 * A file that goes into a directory which was made a moment ago can be written past the overlay,
 * straight into its upper directory: no lower layer has a say in it, and the overlay has looked up
 * nothing there yet. It spares half the time of the kernel. A file with several names goes the long
 * way: its other names are made through the mount.
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

/** Opening and making a file takes as long as copying so many bytes. */
const weight = (file: FileStep) => 65536 + file.size;
