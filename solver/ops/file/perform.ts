import { basename, join, relative } from 'node:path/posix';
import { KilnError } from '../../../base/errors.ts';
import { hasWildcard } from '../../../base/gomatch.ts';
import type { SelectedContents } from '../../../cache/contenthash/hasher.ts';
import type { Selection, Tree } from '../../../cache/contenthash.ts';
import type { SelectedSource } from '../../../cache/select/selected-source.ts';
import { openRoot, type Root } from '../../../snapshotter/sys/rooted.ts';
import type { OnMoved } from '../../../snapshotter/workers/job.ts';
import type { FileActionCopy } from '../../llb/file-op.ts';
import type { Overrides } from './attributes.ts';
import { copyTree, type TreeCopy } from './copytree.ts';
import { prepareTarget } from './destination.ts';
import type { EarlierCopy } from './earlier.ts';
import { type CopyPool, copyInParts, type DirectFiles } from './inparts.ts';
import { entryStep } from './steps.ts';
import { tryUnpack } from './unpack.ts';

/** What a copy action selects in its source. Both the key and the copy use this selection. */
export function selectionOf(copy: FileActionCopy): Selection {
  return {
    paths: [copy.src],
    wildcard: copy.allowWildcard && hasWildcard(copy.src),
    ...(!copy.allowWildcard && { exact: true }),
    followLinks: copy.followSymlink,
    allowEmpty: copy.allowEmptyWildcard,
    ...(copy.includePatterns?.length ? { include: copy.includePatterns } : {}),
    ...(copy.excludePatterns?.length ? { exclude: copy.excludePatterns } : {}),
    ...(copy.requiredPaths?.length
      ? { required: copy.requiredPaths.map((path) => below(copy.src, path)) }
      : {}),
  };
}

/**
 * A required path is relative to the root of the tree; a selection has paths relative to its
 * source.
 */
function below(src: string, path: string): string {
  return relative(join('/', src), join('/', path));
}

/** One copy action, ready to run. */
export interface CopyTask {
  readonly copy: FileActionCopy;
  /** The source tree and what was selected in it. */
  readonly tree: Tree;
  readonly selected: SelectedContents;
  /** The mounted destination. */
  readonly to: string;
  /** The upper directory of the overlay at `to`, if files may be written to it directly. */
  readonly upper?: string | undefined;
  readonly overrides: Overrides;
  readonly pool: CopyPool | undefined;
  /** What the same copy made before. Unchanged files are linked from there. */
  readonly earlier?: EarlierCopy | undefined;
  /**
   * Called before many bytes are copied, with their number. What it returns is told how many are
   * done.
   */
  readonly onCopying?: ((total: number) => OnMoved) | undefined;
  /** See TreeCopy. */
  readonly mountedOnly?: boolean | undefined;
}

/**
 * Runs one copy action. Returns the files that were written directly into `upper`: the next run of
 * the same copy may link to them. Rejects with the errors of `copyTree`, with KILN_NO_PARENT and
 * with those of unpacking an archive.
 */
export async function performCopy(task: CopyTask, signal: AbortSignal): Promise<DirectFiles> {
  using from = openRoot(task.tree.root);
  using to = openRoot(task.to);
  if (!task.copy.createDestPath) requireParent(to, task.copy.dest);
  const direct: DirectFiles[] = [];
  for (const source of task.selected.sources) {
    signal.throwIfAborted();
    if (
      task.copy.attemptUnpackDockerCompatibility &&
      (await unpackSource(task, from, to, source, signal))
    )
      continue;
    const made = await copySource(task, from, to, source, signal);
    if (made) direct.push(made);
  }
  return {
    files: direct.flatMap(({ files }) => files),
    linked: direct.flatMap(({ linked }) => linked),
    whole: task.selected.sources.length === 1 ? direct[0]?.whole : undefined,
  };
}

function requireParent(to: Root, dest: string): void {
  const path = to.resolve(dest);
  const slash = path.lastIndexOf('/');
  if (to.stat(slash < 0 ? '' : path.slice(0, slash))) return;
  throw new KilnError(
    'KILN_NO_PARENT',
    `the parent directory of "${dest}" does not exist in the image`,
  );
}

async function unpackSource(
  task: CopyTask,
  from: Root,
  to: Root,
  source: SelectedSource,
  signal: AbortSignal,
): Promise<boolean> {
  const entry = source.entries[0]!;
  if (entry.kind !== 'file' || entry.size === 0) return false;
  const step = entryStep(entry, task.selected.contents, undefined, '');
  return await tryUnpack(from, to, step, task.copy.dest, task.overrides, signal);
}

async function copySource(
  task: CopyTask,
  from: Root,
  to: Root,
  source: SelectedSource,
  signal: AbortSignal,
): Promise<DirectFiles | undefined> {
  const { copy, overrides } = task;
  const isDirectory = source.entries[0]!.kind === 'directory';
  const shape = { isDirectory, contentsOnly: copy.dirCopyContents, name: basename(source.path) };
  const target = prepareTarget(to, copy.dest, shape, overrides);
  const job: TreeCopy = { ...treeCopy(task, source, from, to), target };
  if (task.pool && isLarge(source)) return copyInParts({ ...task, pool: task.pool }, job, signal);
  copyTree(job);
  return undefined;
}

/** The copy of one source, but for its target. */
export function treeCopy(
  { copy, overrides, selected, tree, mountedOnly }: CopyTask,
  { entries }: SelectedSource,
  from: Root,
  to: Root,
): Omit<TreeCopy, 'target'> {
  return {
    from,
    to,
    entries,
    contents: selected.contents,
    overrides,
    replace: copy.alwaysReplaceExistingDestPaths === true,
    fromContext: tree.rootOwned === true,
    mountedOnly,
  };
}

/** Copies of up to this size are made on the main thread. */
const INLINE_BYTES = 8 << 20;
const INLINE_FILES = 400;

function isLarge({ entries }: SelectedSource): boolean {
  if (entries.length > INLINE_FILES) return true;
  return (
    entries.reduce((sum, entry) => sum + (entry.kind === 'file' ? entry.size : 0), 0) > INLINE_BYTES
  );
}
