import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../../base/digest.ts';
import { errnoOf } from '../../base/errors.ts';
import type { LayerId } from '../snapshotter.ts';
import { blobHold, heldNames, raiseGate } from '../store/leases.ts';
import type { Store } from '../store/root.ts';
import { diskUsage } from '../store/usage.ts';
import { removeTreeSoon } from '../sys/removal.ts';
import { layerHold, unsoundRows } from './layers.ts';
import { withLockFile } from './lockfile.ts';
import { originalOf, othersOf } from './sidecar.ts';

/**
 * A layer as a collector sees it. Several ids may share a directory: those with clamped times are
 * left out.
 */
export interface LayerUse {
  readonly id: LayerId;
  readonly diffId: Digest | undefined;
  readonly created: number;
  readonly used: number;
  /** The size of its directory on disk, in bytes. */
  readonly disk: number;
}

/** What a collection removes. */
export interface Condemned {
  readonly layers: readonly LayerId[];
  readonly blobs: readonly Digest[];
}

/** The functions that a collector may use inside the transaction in which it decides. */
export interface CollectionChecks {
  /** True when a live process uses the layer or blob. */
  inUse(thing: { readonly layer: LayerId } | { readonly blob: Digest }): boolean;
}

/** Layers with the size of their directories. `sizes` are those that are known already. */
export function layersInUse(
  store: Store,
  sizes: ReadonlyMap<LayerId, number> = layerSizes(store),
): LayerUse[] {
  const rows = store.db.all<{ id: LayerId; diff_id: Digest | null; created: number; used: number }>(
    'SELECT id, diff_id, created, used FROM layers',
  );
  const unsound = new Set(unsoundRows(store));
  return rows
    .filter(({ id }) => originalOf(id).id === id && !unsound.has(id))
    .map(({ id, diff_id, created, used }) => ({
      id,
      diffId: diff_id ?? undefined,
      created,
      used,
      disk: sizes.get(id) ?? diskUsage(join(store.layers, id)).bytes,
    }));
}

/** Marks a layer that shares files with others: its size depends on which of them exist. */
const LINKED = -1;

/**
 * The bytes on disk of each layer's directory. They are measured once and kept in the row, except
 * for layers that share files: a large copy that was made again has hard links into the earlier
 * layer. A shared file counts for the layer that was used last, which is also collected last. So
 * the size of a layer is what its removal frees.
 */
export function layerSizes(store: Store): Map<LayerId, number> {
  const { db } = store;
  const unsound = new Set(unsoundRows(store));
  const read = () =>
    db
      .all<{ id: LayerId; disk: number | null; used: number; created: number }>(
        'SELECT id, disk, used, created FROM layers',
      )
      .filter(({ id }) => originalOf(id).id === id && !unsound.has(id));
  let rows = read();
  const measured = new Map<LayerId, number>();
  const measure = ({ id }: { readonly id: LayerId }) => {
    const { bytes, outside } = diskUsage(join(store.layers, id));
    measured.set(id, outside ? LINKED : bytes);
  };
  rows.filter(({ disk }) => disk === null).forEach(measure);
  // A new layer with links into others makes earlier measurements invalid.
  if ([...measured.values()].includes(LINKED))
    rows.filter(({ disk }) => disk !== null && disk !== LINKED).forEach(measure);
  for (const [id, bytes] of measured) db.run('UPDATE layers SET disk = ? WHERE id = ?', bytes, id);
  if (measured.size > 0) rows = read();
  const sizes = new Map(rows.map(({ id, disk }) => [id, disk ?? 0]));
  const seen = new Set<string>();
  const linked = rows
    .filter(({ disk }) => disk === LINKED)
    .sort((a, b) => b.used - a.used || b.created - a.created);
  for (const { id } of linked) sizes.set(id, diskUsage(join(store.layers, id), seen).bytes);
  return sizes;
}

/**
 * Runs one collection, after any other that is running. `decide` runs inside a write transaction
 * while the gate is up (see leases.ts). It reads what exists, removes its own rows and returns what
 * must go. The layers and blobs that it names are then moved out of sight, each in its own
 * transaction, so that another process may still reclaim one before. They are removed after that.
 */
export async function collectGarbage(
  store: Store,
  signal: AbortSignal,
  decide: (deciding: CollectionChecks) => Condemned,
): Promise<void> {
  await withLockFile(join(store.tmp, 'locks', 'collector'), signal, async () => {
    const trash: string[] = [];
    {
      using _gate = raiseGate(store.root);
      // What an earlier collector could not finish.
      trash.push(...reclaim(store));
      store.db.transaction(() => {
        condemn(store, decide({ inUse: usedNow(store) }));
      });
      trash.push(...reclaim(store));
    }
    // A path that cannot be removed now is left to the sweep of a later start. It does not keep the
    // others from being removed.
    for (const path of trash) await removeTreeSoon(path);
  });
}

/** Says what live processes use at this moment. */
export function usedNow(store: Store): CollectionChecks['inUse'] {
  const held = heldNames(store.root);
  return (thing) => held.has('layer' in thing ? layerHold(thing.layer) : blobHold(thing.blob));
}

function condemn({ db }: Store, { layers, blobs }: Condemned): void {
  const remember = (name: string) =>
    db.run('INSERT OR IGNORE INTO condemned (name) VALUES (?)', name);
  for (const layer of layers) {
    // The directory is removed, and with it every layer that is made of it.
    const { id } = originalOf(layer);
    db.run('DELETE FROM layers WHERE id = ? OR id GLOB ?', id, othersOf(id));
    remember(layerHold(id));
  }
  for (const digest of blobs) {
    db.run('DELETE FROM forms WHERE digest = ?', digest);
    remember(blobHold(digest));
  }
}

/**
 * Moves everything condemned into scratch space. If this process is killed, the sweep of the next
 * open removes it.
 */
function reclaim(store: Store): string[] {
  const { db } = store;
  return db.all<{ name: string }>('SELECT name FROM condemned').flatMap(({ name }) =>
    db.transaction(() => {
      if (db.run('DELETE FROM condemned WHERE name = ?', name) === 0) return [];
      // The name becomes a path, so only a form that `condemn` writes is accepted.
      if (!/^(l[a-z0-9]{8,80}|b[0-9a-f]{64})$/.test(name)) return [];
      const layer = name.slice(1);
      if (name.startsWith('l') && db.get('SELECT 1 FROM layers WHERE id = ?', layer) !== undefined)
        return [];
      const path = name.startsWith('l') ? join(store.layers, layer) : join(store.blobs, layer);
      const trash = store.scratchPath('trash');
      return moved(path, trash) ? [trash] : [];
    }),
  );
}

function moved(from: string, to: string): boolean {
  if (!existsSync(from)) return false;
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}
