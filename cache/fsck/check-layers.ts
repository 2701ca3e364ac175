import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../../base/digest.ts';
import { messageOf } from '../../base/errors.ts';
import type { BlobForms, ContentStore } from '../../snapshotter/content.ts';
import type { LayerJobs } from '../../snapshotter/overlay/jobs.ts';
import { filesName, unsoundRows } from '../../snapshotter/overlay/layers.ts';
import {
  baseOf,
  isLayerId,
  isUnpacked,
  type LayerRecord,
  originalOf,
  readSidecar,
  SIDECAR,
} from '../../snapshotter/overlay/sidecar.ts';
import type { OverlaySnapshotter } from '../../snapshotter/overlay/snapshotter.ts';
import type { LayerId, LayerInfo } from '../../snapshotter/snapshotter.ts';
import { condemnedNames } from '../../snapshotter/store/leases.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { removeTree } from '../../snapshotter/sys/removal.ts';
import { damagedIn, type FsckReport } from './fsck-report.ts';
import { sameFile } from './same-file.ts';

/** The services that checking layers needs. */
export interface LayerWorld {
  readonly store: Store;
  readonly content: ContentStore;
  readonly forms: BlobForms;
  readonly jobs: LayerJobs;
  readonly snapshotter: Pick<OverlaySnapshotter, 'prepare' | 'trees'>;
}

interface Row {
  readonly id: LayerId;
  readonly diff_id: Digest | null;
  readonly tar_size: number | null;
}

/** `proven`, `unproven`, or the end of a sentence that says what is wrong with a layer. */
type Verdict = 'proven' | 'unproven' | { readonly wrong: string };

/**
 * Checks every layer: that its row, its directory and its `layer.json` agree, and its bytes. A
 * layer that a step made is packed again and must match its diffID, with its own times or in
 * another form. A layer of an image is unpacked again in a scratch directory, and both must pack
 * to the same bytes.
 */
export async function checkLayers(
  world: LayerWorld,
  report: FsckReport,
  signal: AbortSignal,
): Promise<void> {
  const { store } = world;
  const unsound = new Set(unsoundRows(store));
  const rows = store.db
    .all<Row>('SELECT id, diff_id, tar_size FROM layers')
    .filter(({ id }) => !unsound.has(id));
  const known = new Set(rows.map(({ id }) => originalOf(id).id));
  checkStrays(store, new Set([...known, ...unsound]), report);
  const { blobs } = damagedIn(report);
  const verified = new Set<LayerId>();
  const wrong = new Set<LayerId>();
  for (const row of rows) {
    signal.throwIfAborted();
    const { id } = originalOf(row.id);
    const still = sameFile(join(store.layers, id));
    const verdict = await verdictOn(world, row, blobs, signal);
    if (verdict === 'proven') verified.add(id);
    // The layer may have been removed since the rows were read.
    else if (verdict !== 'unproven' && !wrong.has(id) && isThere(store, row.id)) {
      wrong.add(id);
      report.problems.push({
        what: `the layer ${row.id}${verdict.wrong}`,
        repair: repairOf(id),
        layer: id,
        still,
      });
    }
  }
  for (const { id, diff_id } of rows) {
    if (originalOf(id).id !== id || verified.has(id) || wrong.has(id)) continue;
    // A running build may record the digest at any time, and then an image of the layer.
    const still = () =>
      store.db.get('SELECT 1 FROM layers WHERE id = ? AND diff_id IS ?', id, diff_id) !== undefined;
    if (still()) report.unproven.push({ layer: id, still });
  }
  report.verified.set('layers', [...verified].filter((id) => !wrong.has(id)).length);
}

function repairOf(id: LayerId): string {
  return isUnpacked(id)
    ? 'it was removed; its image unpacks it again, or has to be pulled'
    : 'it was removed; its step runs again';
}

function isThere(store: Store, id: LayerId): boolean {
  return store.db.get('SELECT 1 FROM layers WHERE id = ?', id) !== undefined;
}

/**
 * Reports directories without a row. They were left by a killed process, and the next recovery
 * would adopt or remove them.
 */
function checkStrays(store: Store, known: ReadonlySet<string>, report: FsckReport): void {
  const condemned = new Set(condemnedNames(store.db));
  for (const name of readdirSync(store.layers)) {
    if (known.has(name) || condemned.has(`l${name}`)) continue;
    // A build that commits a layer writes its row after its directory is in place.
    const still = () => !isThere(store, name as LayerId);
    if (!still()) continue;
    const path = join(store.layers, name);
    const how = isLayerId(name) ? { layer: name, still } : { mend: () => void removeTree(path) };
    report.problems.push({
      what: `the index does not know the layer ${name}`,
      repair: 'it was removed',
      ...how,
    });
  }
}

async function verdictOn(
  world: LayerWorld,
  row: Row,
  badBlobs: ReadonlySet<Digest>,
  signal: AbortSignal,
): Promise<Verdict> {
  const { id: original, ...form } = originalOf(row.id);
  const directory = join(world.store.layers, original);
  const base = baseOf(original);
  const own = join(directory, filesName(original));
  if (!existsSync(own)) return { wrong: ' has no files' };
  if (base !== undefined && !isThere(world.store, base))
    return { wrong: ' is a new version of a layer that is gone' };
  const source =
    base === undefined
      ? { files: own }
      : { files: join(world.store.layers, base, filesName(base)), over: own };
  const record = readSidecar(join(directory, SIDECAR), original);
  if (!record) return { wrong: ' has no readable description beside it' };
  // The row and the layer itself must agree.
  if (
    (original === row.id || isUnpacked(original)) &&
    row.diff_id !== null &&
    record.info &&
    record.info.diffId !== row.diff_id
  )
    return { wrong: ' has two descriptions that differ' };
  const diffId = row.diff_id ?? (original === row.id ? record.info?.diffId : undefined);
  if (diffId === undefined || diffId === null) return 'unproven';
  // The same tar in the same directory has a row of its own, which is checked.
  if (original !== row.id && isUnpacked(original)) return 'proven';
  try {
    const made = await world.jobs.describe({ ...source, ...form }, signal);
    if (made.diffId === diffId)
      return row.tar_size === null || made.tarSize === row.tar_size
        ? 'proven'
        : { wrong: ' has another size' };
    if (!isUnpacked(row.id)) return { wrong: ' has files that were changed after it was made' };
    const again = await unpackedAgain(world, record, diffId, badBlobs, signal);
    if (again === undefined)
      return {
        wrong: ' came in a blob that is missing or damaged, and cannot be verified without it',
      };
    if (again === 'unknown') return 'unproven';
    return again.diffId === made.diffId
      ? 'proven'
      : { wrong: ' has files that were changed after it was made' };
  } catch (error) {
    if (signal.aborted) throw error;
    return { wrong: ` cannot be read: ${messageOf(error)}` };
  }
}

/**
 * Unpacks the blob that the layer came in, and packs the result: the layer's directory must give
 * the same tar. Undefined if there is no good blob; `unknown` if the layer below no longer exists.
 */
async function unpackedAgain(
  world: LayerWorld,
  { alone, below, form }: LayerRecord,
  diffId: Digest,
  badBlobs: ReadonlySet<Digest>,
  signal: AbortSignal,
): Promise<LayerInfo | 'unknown' | undefined> {
  const { content, forms, jobs } = world;
  const { kind, marks } = world.snapshotter.trees;
  const candidates = [...forms.all(diffId), ...(form && form.diffId === diffId ? [form] : [])];
  const blob = candidates.find(
    ({ digest, size }) => !badBlobs.has(digest) && content.size(digest) === size,
  );
  if (!blob) return undefined;
  const request = { blob: content.path(blob.digest), mediaType: blob.mediaType, diffId, marks };
  if (alone) {
    using scratch = world.store.scratch('fsck');
    const unpacked = await jobs.unpack({ ...request, files: scratch.path }, signal);
    return unpacked ? await jobs.describe({ files: scratch.path }, signal) : 'unknown';
  }
  // In a tree made of copies, the changes are known only after they have been collected.
  if (!below || kind !== 'overlay') return 'unknown';
  await using active = await world.snapshotter.prepare({ layers: below });
  await jobs.unpack({ ...request, files: active.upper, root: active.root }, signal);
  return await jobs.describe({ files: active.upper }, signal);
}
