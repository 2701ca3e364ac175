import { writeFileSync } from 'node:fs';
import type { ImageStore } from '../../snapshotter/images.ts';
import { collect } from '../../snapshotter/overlay/collection.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';
import { damageMarker } from '../../snapshotter/store/database.ts';
import { forgetRecords } from '../gc/collect.ts';
import { prepareRecords } from '../records.ts';
import { checkBlobs } from './blobs.ts';
import { checkLayers, type LayerWorld } from './layers.ts';
import type { Problem, Report } from './problem.ts';
import { checkImages, checkRecords } from './references.ts';

export type { Problem, Report } from './problem.ts';

export interface FsckWorld extends LayerWorld {
  readonly images: Pick<ImageStore, 'list' | 'remove'>;
}

/** Verifies the whole store: every byte that something here can prove. Changes nothing. */
export async function fsck(world: FsckWorld, signal: AbortSignal): Promise<Report> {
  const { store } = world;
  const report: Report = { problems: [], verified: new Map(), unproven: 0 };
  prepareRecords(store);
  checkDatabase(world, report);
  checkBlobs(store, report, () => signal.throwIfAborted());
  await checkLayers(world, report, signal);
  checkRecords(store, report);
  checkImages(store, world.images, report);
  return report;
}

/**
 * Mends what `fsck` found; answers what could not be, because a process uses it. What is removed goes by the protocol of collections, with
 * every record that names it.
 */
export async function repair(world: FsckWorld, report: Report, signal: AbortSignal): Promise<readonly Problem[]> {
  const { store } = world;
  const left: Problem[] = [];
  // What was looked at is no use of ours.
  store.lease.close();
  await collect(store, signal, ({ inUse }) => {
    const layers = new Map<LayerId, string>();
    const blobs = [];
    for (const problem of report.problems) {
      const { layer, blob } = problem;
      if ((layer && inUse({ layer })) || (blob && inUse({ blob }))) left.push(problem);
      else if (layer) layers.set(layer, 'it was damaged');
      else if (blob) blobs.push(blob);
    }
    forgetRecords(store, layers, false);
    return { layers: [...layers.keys()], blobs };
  });
  for (const problem of report.problems) problem.mend?.();
  return left;
}

/** SQLite's own check. A damaged index is begun anew by the next open, from what is on disk. */
function checkDatabase({ store }: FsckWorld, report: Report): void {
  const rows = store.db.all<{ integrity_check: string }>('PRAGMA integrity_check');
  if (rows.length === 1 && rows[0]?.integrity_check === 'ok') return;
  report.problems.push({
    what: `the index is damaged: ${rows[0]?.integrity_check}`,
    repair: 'the next command builds it anew',
    mend: () => writeFileSync(damageMarker(store.db.path), ''),
  });
}
