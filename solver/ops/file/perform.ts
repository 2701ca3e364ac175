import { basename } from 'node:path/posix';
import { KilnError } from '../../../base/errors.ts';
import { hasWildcard } from '../../../base/gomatch.ts';
import type { SelectedContents } from '../../../cache/contenthash/hasher.ts';
import type { Selection, Tree } from '../../../cache/contenthash.ts';
import type { SelectedSource } from '../../../cache/select/select.ts';
import { openRoot, type Root } from '../../../snapshotter/sys/rooted.ts';
import type { FileActionCopy } from '../../llb/ops.ts';
import type { Overrides } from './attributes.ts';
import { type Begun, beginTree, copyTree, finishTree, type TreeCopy } from './copytree.ts';
import { prepareTarget } from './destination.ts';
import { type FileStep, fileStep } from './steps.ts';
import { tryUnpack } from './unpack.ts';

/** Copies files on worker threads. `options` and steps are plain data. */
export interface CopyPool {
  readonly threads: number;
  copy(job: CopyJob, signal: AbortSignal): Promise<void>;
}

export interface CopyJob {
  readonly from: string;
  readonly to: string;
  readonly files: readonly FileStep[];
  readonly overrides: PlainOverrides;
}

/** Overrides as they go to a thread: a mode as text. */
export interface PlainOverrides {
  readonly owner: Overrides['owner'];
  readonly mode: string | undefined;
  readonly time: Overrides['time'];
}

/** What a copy action selects in its source; the same value makes the key and the copy. */
export function selectionOf(copy: FileActionCopy): Selection {
  return {
    paths: [copy.src],
    wildcard: copy.allowWildcard && hasWildcard(copy.src),
    followLinks: copy.followSymlink,
    allowEmpty: copy.allowEmptyWildcard,
    ...(copy.includePatterns?.length ? { include: copy.includePatterns } : {}),
    ...(copy.excludePatterns?.length ? { exclude: copy.excludePatterns } : {}),
    ...(copy.requiredPaths?.length ? { required: copy.requiredPaths } : {}),
  };
}

export interface CopyTask {
  readonly copy: FileActionCopy;
  /** The source tree and what was selected in it. */
  readonly tree: Tree;
  readonly selected: SelectedContents;
  /** The mounted destination. */
  readonly to: string;
  /** The directory that holds what is new in the destination (overlay upper), when it may be written to directly. */
  readonly upper?: string | undefined;
  readonly overrides: Overrides;
  readonly pool: CopyPool | undefined;
}

/** Runs one copy action. */
export async function performCopy(task: CopyTask, signal: AbortSignal): Promise<void> {
  using from = openRoot(task.tree.root);
  using to = openRoot(task.to);
  if (!task.copy.createDestPath) requireParent(to, task.copy.dest);
  for (const source of task.selected.sources) {
    signal.throwIfAborted();
    if (task.copy.attemptUnpackDockerCompatibility && (await unpackSource(task, from, to, source, signal))) continue;
    await copySource(task, from, to, source, signal);
  }
}

function requireParent(to: Root, dest: string): void {
  const path = to.resolve(dest);
  const slash = path.lastIndexOf('/');
  if (to.stat(slash < 0 ? '' : path.slice(0, slash))) return;
  throw new KilnError('KILN_NO_PARENT', `the directory that should hold "${dest}" is not in the image`);
}

async function unpackSource(task: CopyTask, from: Root, to: Root, source: SelectedSource, signal: AbortSignal): Promise<boolean> {
  const entry = source.entries[0]!;
  if (entry.kind !== 'file' || entry.size === 0) return false;
  const step = fileStep(entry, '', task.selected.contents);
  return await tryUnpack(from, to, step, task.copy.dest, task.overrides, signal);
}

async function copySource(task: CopyTask, from: Root, to: Root, source: SelectedSource, signal: AbortSignal): Promise<void> {
  const { copy, overrides, selected, tree } = task;
  const isDirectory = source.entries[0]!.kind === 'directory';
  const shape = { isDirectory, contentsOnly: copy.dirCopyContents, name: basename(source.path) };
  const job: TreeCopy = {
    from,
    to,
    entries: source.entries,
    contents: selected.contents,
    target: prepareTarget(to, copy.dest, shape, overrides),
    overrides,
    replace: copy.alwaysReplaceExistingDestPaths === true,
    fromContext: tree.rootOwned === true,
  };
  const parts = task.pool ? splitFiles(source, task.pool.threads) : 1;
  if (parts === 1 || !task.pool) copyTree(job);
  else await copyInParts(task, job, parts, signal);
}

/** Less than this is copied here and now. */
const INLINE_BYTES = 8 << 20;
const INLINE_FILES = 400;

function splitFiles(source: SelectedSource, threads: number): number {
  const bytes = source.entries.reduce((sum, entry) => sum + (entry.kind === 'file' ? entry.size : 0), 0);
  return source.entries.length <= INLINE_FILES && bytes <= INLINE_BYTES ? 1 : threads * 4;
}

async function copyInParts(task: CopyTask, job: TreeCopy, parts: number, signal: AbortSignal): Promise<void> {
  const begun: Begun = beginTree(job);
  const overrides = { owner: task.overrides.owner, mode: task.copy.modeStr ?? octal(task.copy.mode), time: task.overrides.time };
  const share = (files: readonly FileStep[], to: string) =>
    divide(files, parts).map((part) => task.pool!.copy({ from: task.tree.root, to, files: part, overrides }, signal));
  const { direct, mounted } = task.upper === undefined ? { direct: [], mounted: begun.files } : byRoute(begun);
  await Promise.all([...share(direct, task.upper ?? ''), ...share(mounted, task.to)]);
  finishTree(job, begun);
}

/**
 * A file that goes into a directory which was made a moment ago can be written past the overlay, straight into its upper directory: no lower
 * layer has a say in it, and the overlay has looked up nothing there yet. It spares half the time of the kernel. A file with several
 * names goes the long way: its other names are made through the mount.
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

/** Runs of like weight; neighbours stay together, as they are in the same directory. */
function divide(files: readonly FileStep[], parts: number): FileStep[][] {
  if (files.length === 0) return [];
  const weight = (file: FileStep) => 65536 + file.size;
  const share = files.reduce((sum, file) => sum + weight(file), 0) / parts;
  const out: FileStep[][] = [[]];
  let sum = 0;
  for (const file of files) {
    if (sum > share) {
      out.push([]);
      sum = 0;
    }
    out.at(-1)!.push(file);
    sum += weight(file);
  }
  return out;
}
