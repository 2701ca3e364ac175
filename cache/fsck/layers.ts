import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../../base/digest.ts';
import { messageOf } from '../../base/errors.ts';
import type { BlobForms, ContentStore } from '../../snapshotter/content.ts';
import type { LayerJobs } from '../../snapshotter/overlay/jobs.ts';
import { isLayerId, isUnpacked, originalOf, readSidecar, SIDECAR } from '../../snapshotter/overlay/sidecar.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';
import { condemnedNames } from '../../snapshotter/store/leases.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { removeTree } from '../../snapshotter/sys/removal.ts';
import type { Report } from './problem.ts';

export interface LayerWorld {
  readonly store: Store;
  readonly content: ContentStore;
  readonly forms: BlobForms;
  readonly jobs: LayerJobs;
}

interface Row {
  readonly id: LayerId;
  readonly diff_id: Digest | null;
}

/**
 * Every layer: row, directory and `layer.json` beside each other, and its bytes. One that a step made is packed again and must come to its
 * diffID; one of an image is unpacked again beside it and both must pack alike. One that stands only on others is not unpacked again.
 */
export async function checkLayers(world: LayerWorld, report: Report, signal: AbortSignal): Promise<void> {
  const { store } = world;
  const rows = store.db.all<Row>('SELECT id, diff_id FROM layers');
  const known = new Set(rows.map(({ id }) => originalOf(id).id));
  checkStrays(store, known, report);
  let verified = 0;
  for (const row of rows) {
    signal.throwIfAborted();
    const wrong = await faultOf(world, row, report, signal);
    if (wrong === undefined) verified++;
    // It may have been removed since the rows were read.
    else if (store.db.get('SELECT 1 FROM layers WHERE id = ?', row.id) !== undefined)
      report.problems.push({ what: `the layer ${row.id}${wrong}`, repair: 'it was removed; its step runs again', layer: row.id });
  }
  report.verified.set('layers', verified);
}

/** Directories that no row names: a killed process left them, and the next recovery would take them back or remove them. */
function checkStrays(store: Store, known: ReadonlySet<string>, report: Report): void {
  const condemned = new Set(condemnedNames(store.db));
  for (const name of readdirSync(store.layers)) {
    if (known.has(name) || condemned.has(`l${name}`)) continue;
    if (store.db.get('SELECT 1 FROM layers WHERE id = ?', name) !== undefined) continue;
    const path = join(store.layers, name);
    const how = isLayerId(name) ? { layer: name } : { mend: () => void removeTree(path) };
    report.problems.push({ what: `the index does not know the layer ${name}`, repair: 'it was removed', ...how });
  }
}

/** What is wrong with a layer, as the end of a sentence. */
async function faultOf(
  world: LayerWorld,
  { id, diff_id }: Row,
  report: Report,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { id: original, clamp } = originalOf(id);
  const directory = join(world.store.layers, original);
  if (!existsSync(join(directory, 'fs'))) return ' has no files';
  if (!readSidecar(join(directory, SIDECAR), original)) return ' has no readable description beside it';
  if (diff_id === null) {
    report.unproven++;
    return undefined;
  }
  try {
    const expected = isUnpacked(id) ? await packsTo(world, id, diff_id, report, signal) : diff_id;
    if (expected === undefined) return undefined;
    const { diffId } = await world.jobs.describe({ files: join(directory, 'fs'), clamp }, signal);
    return diffId === expected ? undefined : ' has files that were changed after it was made';
  } catch (error) {
    if (signal.aborted) throw error;
    return ` cannot be read: ${messageOf(error)}`;
  }
}

/** What the directory of an unpacked layer must pack to, from the blob it came in; undefined when that cannot be told. */
async function packsTo(
  world: LayerWorld,
  id: LayerId,
  diffId: Digest,
  report: Report,
  signal: AbortSignal,
): Promise<Digest | undefined> {
  const blob = world.forms.all(diffId)[0];
  if (!id.startsWith('d') || !blob) {
    report.unproven++;
    return undefined;
  }
  using scratch = world.store.scratch('fsck');
  const files = scratch.path;
  const request = { blob: world.content.path(blob.digest), mediaType: blob.mediaType, diffId, files };
  // A blob that is not what it should be was found before; it says nothing about the layer.
  const unpacked = await world.jobs.unpack(request, signal).catch(() => undefined);
  if (!unpacked) {
    report.unproven++;
    return undefined;
  }
  return (await world.jobs.describe({ files }, signal)).diffId;
}
