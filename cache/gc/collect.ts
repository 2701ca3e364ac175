import { renameSync, rmSync, statfsSync } from 'node:fs';
import type { Digest } from '../../base/digest.ts';
import { errnoOf } from '../../base/errors.ts';
import type { ImageStore } from '../../snapshotter/images.ts';
import {
  type CollectionChecks,
  type Condemned,
  collectGarbage,
  layerSizes,
  layersInUse,
  usedNow,
} from '../../snapshotter/overlay/collection.ts';
import { tryLockFile } from '../../snapshotter/overlay/filelock.ts';
import { removeUnsound, unsoundRows } from '../../snapshotter/overlay/layers.ts';
import { originalOf } from '../../snapshotter/overlay/sidecar.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';
import { removeMemos } from '../../snapshotter/store/memos.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { giveBackPages } from '../../snapshotter/store/vacuum.ts';
import { removeTreeSoon } from '../../snapshotter/sys/removal.ts';
import { layersOfRecord, prepareRecords, unreadableRecords } from '../records.ts';
import { type RecordUse, takeInventory } from './inventory.ts';
import type { Item } from './item.ts';
import { otherItems } from './others.ts';
import { forgetsAllSteps, ON_REQUEST, plan, type Victim } from './plan.ts';
import type { Disk, PrunePolicy } from './policy.ts';

/** The parts of the store that a collection needs. */
export interface Collectable {
  readonly store: Store;
  readonly images: Pick<ImageStore, 'list' | 'remove'>;
}

/**
 * The current items, for `du` and for a dry run. Nothing is locked, so another process may change
 * them at once.
 */
export function survey({ store, images }: Collectable, now = Date.now()): Item[] {
  prepareRecords(store);
  return inventory({ store, images }, otherItems(store), usedNow(store), now, layerSizes(store));
}

/** The file system that the store is on. */
export function diskOf(root: string): Disk {
  const { bsize, blocks, bavail } = statfsSync(root);
  return { total: bsize * blocks, free: bsize * bavail };
}

/**
 * Removes items that nothing refers to and items that the policies choose, and returns them. An
 * item that another process starts to use before the decision is kept; the protocol is in
 * docs/decisions/008. The disk is walked before anything is locked. The decision takes
 * milliseconds; the removal takes as long as it needs.
 */
export async function prune(
  collectable: Collectable,
  policies: readonly PrunePolicy[],
  signal: AbortSignal,
  now = Date.now(),
): Promise<readonly Victim[]> {
  const { store } = collectable;
  prepareRecords(store);
  mendRows(store);
  // Measured here, while no other process waits.
  const sizes = layerSizes(store);
  const others = policies.length === 0 ? [] : otherItems(store);
  let victims: readonly Victim[] = [];
  await collectGarbage(store, signal, ({ inUse }) => {
    const items = inventory(collectable, others, inUse, now, sizes);
    victims = plan(items, policies, diskOf(store.root), now);
    const forgets = policies.some((policy) => forgetsAllSteps(policy, items));
    return condemnedBy(collectable, victims, forgets);
  });
  removeMemos(store.root);
  const gone: Victim[] = [];
  for (const victim of victims) if (await removePaths(store, victim.item)) gone.push(victim);
  await giveBackPages(store.db, signal);
  return gone;
}

/**
 * A row that cannot be read counts as missing. The item it described is recovered from the disk, or
 * removed.
 */
function mendRows(store: Store): void {
  if (unsoundRows(store).length === 0) return;
  removeUnsound(store);
  store.recoverAll();
}

function inventory(
  { store, images }: Collectable,
  others: readonly Item[],
  inUse: CollectionChecks['inUse'],
  now: number,
  sizes: ReadonlyMap<LayerId, number>,
): Item[] {
  return takeInventory({
    store,
    images,
    layers: layersInUse(store, sizes),
    records: readRecords(store),
    others,
    inUse,
    now,
  });
}

/**
 * Inside the transaction: removes the rows of the chosen items, and every record that depends on
 * them; with `all`, every record.
 */
function condemnedBy(
  { store, images }: Collectable,
  victims: readonly Victim[],
  all: boolean,
): Condemned {
  const layers = new Map<LayerId, string>();
  const blobs = new Set<Digest>();
  for (const { item, reason } of victims) {
    if (item.content.layer) layers.set(item.content.layer, reason);
    for (const blob of item.content.blobs ?? []) blobs.add(blob);
  }
  forgetRecords(store, layers, all);
  for (const { item } of victims)
    if (item.content.image !== undefined) images.remove(item.content.image);
  return { layers: [...layers.keys()], blobs: [...blobs] };
}

/**
 * Removes the records of the chosen items and of missing layers, each with a note of the reason.
 * With `all`, records of layers that images keep are removed as well.
 */
export function forgetRecords(
  store: Store,
  victims: ReadonlyMap<LayerId, string>,
  all: boolean,
): void {
  const { db } = store;
  const there = new Set(
    db.all<{ id: LayerId }>('SELECT id FROM layers').map(({ id }) => originalOf(id).id),
  );
  const now = Date.now();
  for (const key of unreadableRecords(store)) db.run('DELETE FROM record WHERE key IS ?', key);
  for (const { key, layers } of readRecords(store)) {
    const victim = layers.find((layer) => victims.has(layer));
    const lost = layers.some((layer) => !there.has(layer));
    if (victim === undefined && !lost && !all) continue;
    const reason =
      victim === undefined
        ? lost
          ? 'its layers no longer existed'
          : ON_REQUEST
        : victims.get(victim)!;
    db.run('DELETE FROM record WHERE key = ?', key);
    const why = reason === ON_REQUEST ? "'kiln prune' was called" : reason;
    db.run('INSERT OR REPLACE INTO pruned (key, at, reason) VALUES (?, ?, ?)', key, now, why);
  }
  db.run('DELETE FROM link WHERE key NOT IN (SELECT key FROM record)');
  db.run('DELETE FROM content_index WHERE key NOT IN (SELECT key FROM record)');
  // The notes explain later misses. An explanation is asked for soon, or not at all.
  db.run('DELETE FROM pruned WHERE at < ?', now - 60 * 24 * 3_600_000);
}

/**
 * Records with the layers they name, in any form. A record whose layers are in a registry has none
 * here. A record that cannot be read names none.
 */
function readRecords({ db }: Store): RecordUse[] {
  const rows = db.all<{ key: string; outputs: string; description: string; used: number }>(
    'SELECT key, outputs, description, used FROM record',
  );
  return rows.flatMap(({ key, outputs, description, used }) => {
    const layers = layersOfRecord(outputs);
    return layers
      ? [{ key, layers, description: String(description), used: Number(used) || 0 }]
      : [];
  });
}

/**
 * Removes the files of an item that is neither a blob nor a layer. Returns false when a process has
 * started to use it.
 */
async function removePaths(store: Store, { content }: Item): Promise<boolean> {
  if (!content.paths) return true;
  using held =
    content.lock === undefined ? undefined : tryLockFile(content.lock, 'exclusive', 'unused');
  if (content.lock !== undefined && !held) return false;
  for (const path of content.paths) {
    if (path === content.lock) {
      rmSync(path, { force: true });
      continue;
    }
    const trash = store.scratchPath('trash');
    try {
      renameSync(path, trash);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') continue;
      throw error;
    }
    // A file that cannot be removed now is left to the cleanup at a later start, and does not stop
    // the removal of others.
    await removeTreeSoon(trash);
  }
  return true;
}
