import { closeSync, futimesSync, writeFileSync } from 'node:fs';
import { CancelledError, KilnError } from '../base/errors.ts';
import { formatPlatformInFull } from '../base/platform.ts';
import { makeContents } from '../cache/contenthash/statcache.ts';
import type { Entry } from '../cache/select/entry.ts';
import { makeDirectory } from '../snapshotter/sys/makedirectory.ts';
import { openRoot, type Root } from '../snapshotter/sys/rooted.ts';
import { inUserNamespace } from '../snapshotter/sys/usernamespace.ts';
import { beginTree, copyFiles, finishTree, type TreeCopy } from '../solver/ops/file/copytree.ts';
import {
  STATEMENT_MODE,
  type StatementFile,
  statementFiles,
  walkBeside,
} from './attest/statement-files.ts';
import { outputError } from './destination.ts';
import { reported } from './export-report.ts';
import type { ExportContext, Exporter } from './exporter.ts';
import { removeOthers } from './mirror.ts';
import { placesOf, walkTree } from './result-tree.ts';
import type { ExportServices } from './services.ts';

/** The number of files copied before the signal is checked again. */
const BATCH = 200;

/**
 * `type=local`: copies the tree of the result into a directory, owned by the user who runs kiln. An
 * existing file is kept unless the tree has one of the same name, or the output `deletes`.
 * Attestations are written at the top of each tree. Links in the destination are never followed,
 * because an earlier export may have created them.
 */
export function localExporter(
  services: ExportServices,
  spec: {
    readonly directory: string;
    readonly platformSplit?: boolean | undefined;
    readonly deletes?: boolean;
    readonly attestationPrefix?: string | undefined;
  },
): Exporter {
  const name = 'exporting to client directory';
  const root = spec.directory;
  return {
    name,
    export: (targets, context) =>
      reported(name, context, async (report) => {
        const shared = new Map<string, string>();
        const kept = spec.deletes ? new Set<string>() : undefined;
        for (const [target, place] of placesOf(targets, spec.platformSplit)) {
          await using view = await services.snapshotter.view(target.snapshot);
          const task = `copying files${place === '' ? '' : ` ${place.replaceAll('_', '/')}`}`;
          const statements = await statementFiles(target, view.root, context, {
            prefix: spec.attestationPrefix,
            shared: place === '' && targets.length > 1,
          });
          if (place === '' && targets.length > 1)
            refuseOverwriting(view.root, formatPlatformInFull(target.platform), shared);
          await report.task(task, (progress) =>
            copyTo({ source: view.root, statements, kept }, root, place, context, progress),
          );
        }
        if (kept)
          await report.task('removing other files', () => Promise.resolve(mirror(root, kept)));
        return {};
      }),
  };
}

/**
 * Throws KILN_OUTPUT_INVALID when the tree at `root` has a file that another platform has written.
 * `written` says which one wrote what.
 */
function refuseOverwriting(root: string, platform: string, written: Map<string, string>): void {
  for (const { path, kind } of walkTree(root)) {
    if (kind === 'directory') continue;
    const other = written.get(path);
    if (other !== undefined)
      throw new KilnError(
        'KILN_OUTPUT_INVALID',
        `cannot overwrite ${path} from ${other} with ${platform} when split option is disabled`,
        { hint: 'leave out platform-split=false, so that each platform has a directory' },
      );
    written.set(path, platform);
  }
}

async function copyTo(
  {
    source,
    statements,
    kept,
  }: {
    readonly source: string;
    readonly statements: readonly StatementFile[];
    /** Is told the paths that were written. */
    readonly kept: Set<string> | undefined;
  },
  directory: string,
  place: string,
  { signal, epoch }: ExportContext,
  progress: (current: number, total: number) => void,
): Promise<void> {
  try {
    makeDirectory(directory);
    using top = openRoot(directory);
    // The platform's own directory is also created inside the root, because its name may be a link
    // by now.
    if (place !== '') top.mkdirAll(place, 0o755);
    const entries = walkBeside(statements, source, isPortable);
    await copyEntries(source, top, entries, { place, signal, epoch, progress });
    for (const statement of statements) writeStatement(top, place, statement, epoch);
    if (!kept) return;
    if (place !== '') kept.add(place);
    for (const path of [...entries.map((one) => one.path), ...statements.map(({ name }) => name)])
      kept.add(place === '' ? path : `${place}/${path}`);
  } catch (error) {
    throw error instanceof KilnError ? error : outputError(error, directory);
  }
}

function mirror(directory: string, kept: ReadonlySet<string>): void {
  try {
    using top = openRoot(directory);
    removeOthers(top, kept);
  } catch (error) {
    throw outputError(error, directory);
  }
}

function writeStatement(
  top: Root,
  place: string,
  { name, text }: StatementFile,
  epoch: number | undefined,
): void {
  const path = place === '' ? name : `${place}/${name}`;
  top.remove(path);
  const fd = top.create(path, STATEMENT_MODE);
  try {
    writeFileSync(fd, text);
    if (epoch !== undefined) futimesSync(fd, epoch, epoch);
  } finally {
    closeSync(fd);
  }
}

export interface EntriesCopy {
  /** An existing directory of the destination, '' for its top. */
  readonly place: string;
  readonly signal: AbortSignal;
  /** The time of all files, in seconds. */
  readonly epoch?: number | undefined;
  readonly progress?: (current: number, total: number) => void;
}

/** Copies the entries of a tree into a directory of the user, who then owns them. */
export async function copyEntries(
  source: string,
  top: Root,
  entries: readonly Entry[],
  { place, signal, epoch, progress }: EntriesCopy,
): Promise<void> {
  using from = openRoot(source);
  const time = epoch === undefined ? undefined : { sec: epoch, nsec: 0 };
  const overrides = { owner: owner(), mode: undefined, time };
  const contents = makeContents(entries.length);
  const job: TreeCopy = {
    from,
    to: top,
    entries,
    contents,
    target: place,
    overrides,
    replace: true,
    fromContext: false,
  };
  const begun = beginTree(job);
  for (let at = 0; at < begun.files.length; at += BATCH) {
    if (signal.aborted) throw new CancelledError(signal.reason);
    copyFiles(from, top, begun.files.slice(at, at + BATCH), overrides);
    progress?.(Math.min(at + BATCH, begun.files.length), begun.files.length);
    await new Promise(setImmediate);
  }
  finishTree(job, begun);
}

/** A user who cannot create device nodes gets the tree without them. */
function isPortable(entry: Entry): boolean {
  return (
    (process.getuid?.() === 0 && !inUserNamespace()) ||
    (entry.kind !== 'char' && entry.kind !== 'block')
  );
}

function owner(): { uid: number; gid: number } {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
}
