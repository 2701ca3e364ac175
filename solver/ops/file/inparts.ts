import { divide } from '../../../base/divide.ts';
import type { LinkedDirectory } from '../../../snapshotter/snapshotter.ts';
import { type OnMoved, sumOf } from '../../../snapshotter/workers/job.ts';
import type { FileActionCopy } from '../../llb/file-op.ts';
import type { Overrides } from './attributes.ts';
import type { CopiedTree } from './copy-index.ts';
import { type Begun, beginTree, finishTree, type TreeCopy } from './copytree.ts';
import type { EarlierCopy } from './earlier.ts';
import {
  type EntryStep,
  type FileStep,
  type PackedSteps,
  packPaths,
  packSteps,
  type TargetPlace,
} from './steps.ts';

/** Copies and links files on worker threads. Jobs are plain data. */
export interface CopyPool {
  readonly threads: number;
  copy(job: CopyJob, signal: AbortSignal, onMoved?: OnMoved): Promise<void>;
  /** Returns the indexes of the paths that could not be linked. */
  link(job: LinkJob, signal: AbortSignal): Promise<readonly number[]>;
}

/** Files to copy from the tree `from` to the tree `to`, whose directories exist. */
export interface CopyJob {
  readonly from: string;
  readonly to: string;
  readonly files: PackedSteps;
  readonly overrides: PlainOverrides;
}

/** Files of a committed layer that are linked into another layer under the same paths. */
export interface LinkJob {
  readonly from: string;
  readonly to: string;
  /** See `packPaths`. */
  readonly paths: string;
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
  /** See CopyTask. */
  readonly onCopying?: ((total: number) => OnMoved) | undefined;
}

/** What a copy has written past the overlay. */
export interface DirectFiles {
  readonly files: readonly EntryStep[];
  /** The directories that hold nothing but links to what the earlier copy has in them. */
  readonly linked: readonly LinkedDirectory[];
  /** See CopiedEntries. */
  readonly whole?: CopiedTree | undefined;
}

/**
 * Makes a large copy on several threads. Returns the files that were written directly into `upper`.
 */
export async function copyInParts(
  task: SharedCopy,
  job: TreeCopy,
  signal: AbortSignal,
): Promise<DirectFiles> {
  const begun: Begun = beginTree(job);
  const parts = task.pool.threads * 4;
  const overrides = {
    owner: task.overrides.owner,
    mode: task.copy.modeStr ?? octal(task.copy.mode),
    time: task.overrides.time,
  };
  const { upper } = task;
  const { direct, mounted } =
    upper === undefined ? { direct: [], mounted: begun.files } : byRoute(begun);
  const { unlinked, linked } = task.earlier
    ? await linkUnchanged(task.pool, task.earlier, direct, upper ?? '', signal)
    : { unlinked: direct, linked: [] };
  const jobs = [
    ...divide(unlinked, parts, weight).map((files) => ({ files, to: upper ?? '' })),
    ...divide(mounted, parts, weight).map((files) => ({ files, to: task.to })),
  ];
  const told = task.onCopying?.(sizeOf(unlinked) + sizeOf(mounted));
  const moved = told && sumOf(jobs.length, told);
  await Promise.all(
    jobs.map(({ files, to }, part) => {
      const copied = { from: task.tree.root, to, files: packSteps(files), overrides };
      return task.pool.copy(copied, signal, moved?.(part));
    }),
  );
  finishTree(job, begun);
  const { target, entries, contents } = job;
  const whole =
    begun.links.length === 0 ? { target, entries, contents, made: begun.made } : undefined;
  return { files: direct, linked, whole };
}

interface Linked {
  /** The files that must still be copied. */
  readonly unlinked: readonly EntryStep[];
  readonly linked: readonly LinkedDirectory[];
}

/** Links the files that the earlier copy holds. */
async function linkUnchanged(
  pool: CopyPool,
  earlier: EarlierCopy,
  files: readonly EntryStep[],
  to: string,
  signal: AbortSignal,
): Promise<Linked> {
  const known: EntryStep[] = [];
  const unlinked: EntryStep[] = [];
  for (const file of files) (earlier.has(file) ? known : unlinked).push(file);
  await Promise.all(
    divide(known, pool.threads * 2, () => 1).map(async (part) => {
      const paths = packPaths(part.map(({ target }) => target));
      const failed = await pool.link({ from: earlier.files, to, paths }, signal);
      for (const index of failed) unlinked.push(part[index]!);
    }),
  );
  return { unlinked, linked: directoriesOf(known, unlinked) };
}

/** The directories of `linked` in which there is nothing else. */
function directoriesOf(
  linked: readonly EntryStep[],
  others: readonly EntryStep[],
): LinkedDirectory[] {
  const counts = new Map<TargetPlace, number>();
  for (const { place } of linked) if (place) counts.set(place, (counts.get(place) ?? 0) + 1);
  for (const { place } of others) if (place) counts.delete(place);
  return [...counts]
    .filter(([place, count]) => count === place.size)
    .map(([{ path, size }]) => ({ path, size }));
}

/**
 * Decides which files are written past the overlay, directly into its upper directory. That is
 * possible for a file in a directory that this copy made: no lower layer has that directory, and
 * the overlay has not looked up anything in it. It halves the time in the kernel. A file with
 * several names is written through the mount, because its other names are.
 */
function byRoute({ files, links }: Begun): { direct: EntryStep[]; mounted: EntryStep[] } {
  const linked = new Set(links.map(({ first }) => first));
  const direct: EntryStep[] = [];
  const mounted: EntryStep[] = [];
  for (const file of files) {
    const isLinked = linked.size > 0 && linked.has(file.target);
    (file.place?.isFresh && !isLinked ? direct : mounted).push(file);
  }
  return { direct, mounted };
}

function octal(mode: number): string | undefined {
  return mode === -1 ? undefined : (mode & 0o7777).toString(8);
}

function sizeOf(files: readonly FileStep[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** The cost of a file. Opening and creating it takes as long as copying 64 KiB. */
const weight = (file: FileStep) => 65536 + file.size;
