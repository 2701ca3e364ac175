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
import { originalOf } from './sidecar.ts';

/**
 * A layer as a collector sees it. Several ids may share a directory: those with clamped times are
 * left out.
 */
export interface LayerUse {
  readonly id: LayerId;
  readonly diffId: Digest | undefined;
  readonly created: number;
  readonly used: number;
  /** Bytes of its directory on disk. */
  readonly disk: number;
}

/** What a collection takes away. */
export interface Condemned {
  readonly layers: readonly LayerId[];
  readonly blobs: readonly Digest[];
}

/** What is asked of a collector inside the one transaction in which it decides. */
export interface Deciding {
  /** True when a live process uses the layer or blob. */
  inUse(thing: { readonly layer: LayerId } | { readonly blob: Digest }): boolean;
}

/** Layers with the size of their directory; `sizes` are those that are known already. */
export function layersInUse(store: Store, sizes: ReadonlyMap<LayerId, number> = layerSizes(store)): LayerUse[] {
  const rows = store.db.all<{ id: LayerId; diff_id: Digest | null; created: number; used: number }>(
    'SELECT id, diff_id, created, used FROM layers',
  );
  const unsound = new Set(unsoundRows(store));
  return rows
    .filter(({ id }) => originalOf(id).clamp === undefined && !unsound.has(id))
    .map(({ id, diff_id, created, used }) => ({
      id,
      diffId: diff_id ?? undefined,
      created,
      used,
      disk: sizes.get(id) ?? diskUsage(join(store.layers, id)).bytes,
    }));
}

/** Of a layer that shares files with others: its size depends on which of them are there. */
const LINKED = -1;

/**
 * Bytes on disk of each layer's directory. Measured once and kept in the row, but for layers that
 * share files (a large copy that was made again has hard links into the earlier one): there a file
 * counts for the layer that was used last, which is collected last, so that what a layer is said to
 * take is what its removal frees.
 */
export function layerSizes(store: Store): Map<LayerId, number> {
  const { db } = store;
  const unsound = new Set(unsoundRows(store));
  const read = () =>
    db
      .all<{ id: LayerId; disk: number | null; used: number; created: number }>('SELECT id, disk, used, created FROM layers')
      .filter(({ id }) => originalOf(id).clamp === undefined && !unsound.has(id));
  let rows = read();
  const measured = new Map<LayerId, number>();
  const measure = ({ id }: { readonly id: LayerId }) => {
    const { bytes, outside } = diskUsage(join(store.layers, id));
    measured.set(id, outside ? LINKED : bytes);
  };
  rows.filter(({ disk }) => disk === null).forEach(measure);
  // A new layer with links into others: what was measured of those before does not hold any more.
  if ([...measured.values()].includes(LINKED)) rows.filter(({ disk }) => disk !== null && disk !== LINKED).forEach(measure);
  for (const [id, bytes] of measured) db.run('UPDATE layers SET disk = ? WHERE id = ?', bytes, id);
  if (measured.size > 0) rows = read();
  const sizes = new Map(rows.map(({ id, disk }) => [id, disk ?? 0]));
  const seen = new Set<string>();
  const linked = rows.filter(({ disk }) => disk === LINKED).sort((a, b) => b.used - a.used || b.created - a.created);
  for (const { id } of linked) sizes.set(id, diskUsage(join(store.layers, id), seen).bytes);
  return sizes;
}

/**
 * One collection, after any other that is going on. `decide` runs inside a write transaction while
 * the gate is up (see leases.ts): it reads what is there, removes its own rows and answers what
 * goes. Layers and blobs that it names are then moved out of sight, each in a transaction in which
 * a process that wants it back may come first, and removed when nobody looks for them any more.
 */
export async function collectGarbage(
  store: Store,
  signal: AbortSignal,
  decide: (deciding: Deciding) => Condemned,
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
    // What cannot be removed now is left to the sweep of a later start, and keeps nothing else from
    // going.
    for (const path of trash) await removeTreeSoon(path);
  });
}

/** What live processes use at this moment. */
export function usedNow(store: Store): Deciding['inUse'] {
  const held = heldNames(store.root);
  return (thing) => held.has('layer' in thing ? layerHold(thing.layer) : blobHold(thing.blob));
}

function condemn({ db }: Store, { layers, blobs }: Condemned): void {
  const remember = (name: string) => db.run('INSERT OR IGNORE INTO condemned (name) VALUES (?)', name);
  for (const layer of layers) {
    // The directory goes, and with it every layer that is made of it.
    const { id } = originalOf(layer);
    db.run('DELETE FROM layers WHERE id = ? OR id GLOB ?', id, `${id}t*`);
    remember(layerHold(id));
  }
  for (const digest of blobs) {
    db.run('DELETE FROM forms WHERE digest = ?', digest);
    remember(blobHold(digest));
  }
}

/**
 * Moves what is condemned into our scratch space. A killed process leaves it to the sweep of the
 * next open.
 */
function reclaim(store: Store): string[] {
  const { db } = store;
  return db.all<{ name: string }>('SELECT name FROM condemned').flatMap(({ name }) =>
    db.transaction(() => {
      if (db.run('DELETE FROM condemned WHERE name = ?', name) === 0) return [];
      // It becomes a path: nothing but what `condemn` wrote.
      if (!/^(l[a-z0-9]{8,80}|b[0-9a-f]{64})$/.test(name)) return [];
      const layer = name.slice(1);
      if (name.startsWith('l') && db.get('SELECT 1 FROM layers WHERE id = ?', layer) !== undefined) return [];
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
