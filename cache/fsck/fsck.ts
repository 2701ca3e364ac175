import type { MirroredImages } from '../../snapshotter/images.ts';
import { collectGarbage } from '../../snapshotter/overlay/collection.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';
import { forgetRecords } from '../gc/collect.ts';
import { prepareRecords } from '../records.ts';
import { checkBlobs, checkForms } from './blobs.ts';
import { checkFiles } from './check-files.ts';
import { checkLayers, type LayerWorld } from './check-layers.ts';
import { shapeProblems } from './check-shape.ts';
import { type FsckReport, isUnchanged, type Problem } from './fsck-report.ts';
import { checkImages } from './references.ts';
import { checkRows, countRecords } from './rows.ts';

export type { FsckReport, Problem } from './fsck-report.ts';

export interface FsckWorld extends LayerWorld {
  readonly images: Pick<MirroredImages, 'list' | 'remove' | 'isMirrored' | 'mirror'>;
  /** The PATH on which git is searched. */
  readonly searchPath: string | undefined;
}

/**
 * Verifies the whole store: every byte that can be proven. It changes nothing, except that an index
 * that cannot be read at all is replaced by a new one, as every command does.
 */
export async function fsck(world: FsckWorld, signal: AbortSignal): Promise<FsckReport> {
  const { store } = world;
  const report: FsckReport = { problems: shapeProblems(store), verified: new Map(), unproven: [] };
  prepareRecords(store);
  if (!checkDatabase(world, report)) return report;
  checkRows(store, report);
  checkBlobs(store, report, () => signal.throwIfAborted());
  await checkForms(store, report, signal);
  await checkLayers(world, report, signal);
  countRecords(store, report);
  checkImages(store, world.images, report);
  checkMirror(world, report);
  checkFiles(store, world.searchPath, report);
  return report;
}

/** The result of a repair. */
export interface Repaired {
  /** All faults that were found. They are repaired unless they are in `left`. */
  readonly report: FsckReport;
  /** Faults that could not be repaired because a process uses the item. */
  readonly left: readonly Problem[];
}

/**
 * Verifies the store and repairs the faults it finds. Removal follows the protocol of the garbage
 * collector, and includes every record that names the item. Layers that cannot be proven are
 * removed, too. The remaining store is like a fresh one, or its missing parts are made again.
 */
export async function repair(world: FsckWorld, signal: AbortSignal): Promise<Repaired> {
  // What is checked after these relies on them.
  const mended = shapeProblems(world.store);
  for (const problem of mended) problem.mend?.();
  let report = await fsck(world, signal);
  const index = report.problems.filter(isIndexProblem);
  if (index.length > 0) {
    // Nothing in a damaged index is trusted.
    for (const problem of index) problem.mend?.();
    mended.push(...index);
    report = await fsck(world, signal);
  }
  const left = await mend(world, report, signal);
  return { report: { ...report, problems: [...mended, ...report.problems] }, left };
}

async function mend(
  world: FsckWorld,
  report: FsckReport,
  signal: AbortSignal,
): Promise<readonly Problem[]> {
  const { store } = world;
  const left: Problem[] = [];
  for (const problem of report.problems) if (!problem.layer && !problem.blob) problem.mend?.();
  // Checking an item does not count as using it.
  store.lease.close();
  await collectGarbage(store, signal, ({ inUse }) => {
    const layers = new Map<LayerId, string>();
    const blobs = [];
    for (const { layer } of report.unproven.filter(isUnchanged))
      if (!inUse({ layer })) layers.set(layer, 'its files could not be verified');
    for (const problem of report.problems.filter(isUnchanged)) {
      const { layer, blob } = problem;
      if ((layer && inUse({ layer })) || (blob && inUse({ blob }))) left.push(problem);
      else if (layer) layers.set(layer, 'it was damaged');
      else if (blob) blobs.push(blob);
    }
    forgetRecords(store, layers, false);
    return { layers: [...layers.keys()], blobs };
  });
  return left;
}

/** SQLite's own check. Returns false when the index cannot be queried at all. */
function checkDatabase({ store }: FsckWorld, report: FsckReport): boolean {
  const rows = store.db.all<{ integrity_check: string }>('PRAGMA integrity_check');
  if (rows.length === 1 && rows[0]?.integrity_check === 'ok') return true;
  const found = rows[0]?.integrity_check ?? 'nothing can be read';
  report.problems.push({
    what: `the index is damaged: ${found}`,
    repair: INDEX_REPAIR,
    mend: () => store.renewIndex(found),
  });
  return false;
}

const INDEX_REPAIR = 'it was made again from the files on disk';

function isIndexProblem({ repair: how }: Problem): boolean {
  return how === INDEX_REPAIR;
}

function checkMirror({ images }: FsckWorld, report: FsckReport): void {
  if (images.isMirrored()) return;
  report.problems.push({
    what: 'images.json does not agree with the names in the index',
    repair: 'it was written again',
    mend: () => images.mirror(),
  });
}
