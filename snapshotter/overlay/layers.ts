import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { asDigest, type Digest, isDigest } from '../../base/digest.ts';
import { errnoOf, type KilnError } from '../../base/errors.ts';
import type { TrailFiles } from '../layer/trail.ts';
import { hasWindowsForm, windowsFilesIn } from '../layer/windows-form.ts';
import type { CopiedFiles, LayerId, LayerInfo, TarForm } from '../snapshotter.ts';
import { condemnedNames } from '../store/leases.ts';
import { bootId } from '../store/owner.ts';
import type { Store } from '../store/root.ts';
import { guarded } from '../store/store-errors.ts';
import { removeTree } from '../sys/removal.ts';
import { removeStaleLocks } from './filelock.ts';
import type { LayerFiles } from './jobs.ts';
import { missingLayer } from './missing.ts';
import {
  baseOf,
  idOfForm,
  isLayerId,
  isUnpacked,
  type LayerRecord,
  originalOf,
  othersOf,
  ownersOf,
  readSidecar,
  SIDECAR,
  sidecarOf,
  windowsFilesId,
} from './sidecar.ts';
import { writtenBack } from './write-back.ts';

const TABLES = [
  `CREATE TABLE layers (
     id TEXT PRIMARY KEY, diff_id TEXT, tar_size INTEGER, empty INTEGER, alone INTEGER NOT NULL,
     created INTEGER NOT NULL, used INTEGER NOT NULL, boot TEXT NOT NULL, settled INTEGER NOT NULL
   ) WITHOUT ROWID`,
  'CREATE INDEX layers_by_diff ON layers (diff_id) WHERE diff_id IS NOT NULL',
  'CREATE INDEX layers_unsettled ON layers (boot) WHERE settled = 0',
  'ALTER TABLE layers ADD COLUMN disk INTEGER',
  // The time at which the files came into this store. A layer of an imported cache was created
  // earlier, on another machine.
  'ALTER TABLE layers ADD COLUMN written INTEGER',
];

const UNREADABLE =
  'the index held rows of layers that could not be read: they were made again or removed';

/**
 * An empty file in the directory of a layer that is known to be on disk. It stands for the row's
 * `settled` if the row is lost.
 */
const SETTLED = 'settled';

interface Row {
  readonly id: string;
  readonly diff_id: string | null;
  readonly tar_size: number | null;
  readonly empty: number | null;
  readonly alone: number;
  readonly created: number;
  readonly boot: string;
}

/**
 * The committed layers of a store. A layer is visible when it has a row. The row is written after
 * the directory was renamed into place, so a row never names a missing directory.
 *
 * The files of a new layer may not be on disk yet, because no step waits for that. The row
 * therefore holds the boot in which the layer was made. If that boot ended before `settled` was
 * called, the layer is dropped: a power cut may have left holes in its files.
 */
export class LayerTable {
  readonly #store: Store;
  /**
   * Layers that exist and remain, because this process's lease holds them. Valid for `#version` of
   * the database and `#leaseVersion` of the lease.
   */
  readonly #ours = new Map<LayerId, LayerRecord>();
  readonly #trails = new Map<LayerId, TrailFiles>();
  #version = '';
  #leaseVersion = -1;
  readonly #touched = new Set<string>();
  #looked = false;

  /** `adopted` is called for each layer whose row was lost and has been written again. */
  constructor(store: Store, adopted: (record: LayerRecord) => void = () => undefined) {
    this.#store = store;
    store.migrate('layers', TABLES);
    this.#dropUnsettled();
    store.recovering('layers', () => {
      for (const record of this.#recover()) adopted(record);
      removeStaleLocks(join(store.tmp, 'locks'));
    });
  }

  directory(id: LayerId): string {
    // Not by join, which takes longer than the look at the directory: a cached build asks this
    // for each layer.
    return `${this.#store.layers}/${checked(originalOf(id).id)}`;
  }

  /** The layer with a tar of another form. It has a row of its own over the same directory. */
  packedAs(id: LayerId, form: TarForm): LayerId {
    const other = idOfForm(id, form);
    // `get` writes the row.
    if (other !== id && !this.get(other)) throw missingLayer(id);
    return other;
  }

  /** What an unpacked layer in the form of Windows has below `Files`, with a row of its own. */
  windowsFiles(id: LayerId): LayerId {
    if (originalOf(id).windows || !hasWindowsForm(this.#files(id))) return id;
    const inside = windowsFilesId(id);
    if (!this.get(inside)) throw missingLayer(id);
    return inside;
  }

  #insertOther(record: LayerRecord): void {
    this.#insert(record);
    this.#store.db.run('UPDATE layers SET settled = 1 WHERE id = ?', record.id);
  }

  /** What the tar of a layer is made from. */
  source(id: LayerId): LayerFiles {
    const { id: original, clamp, windows } = originalOf(id);
    // What an unpacked layer has below `Files` is not what its tar is made from.
    const [files = '', over] = this.directories(isUnpacked(id) ? original : id);
    if (isUnpacked(id)) return { files };
    return { files, over, clamp, windows, trail: this.#trails.get(id) };
  }

  /** Records that a layer of this process holds many copied files. */
  copied(id: LayerId, { like, linked }: CopiedFiles): void {
    const trailOf = (layer: LayerId) => join(this.directory(layer), 'trail');
    this.#trails.set(id, { to: trailOf(id), from: like && trailOf(like), linked });
  }

  /**
   * The directories that together are the layer's tree, bottom first: one, or for a version of
   * another layer that one's and its own.
   */
  directories(id: LayerId): readonly string[] {
    const base = baseOf(id);
    const own = this.#files(id);
    return base === undefined ? [own] : [...this.directories(base), own];
  }

  #files(id: LayerId): string {
    const directory = this.directory(id);
    const files = `${directory}/${filesName(id)}`;
    if (!isUnpacked(id) || !originalOf(id).windows) return files;
    const inside = windowsFilesIn(files);
    if (inside) return inside;
    const nothing = `${directory}/nothing`;
    if (existsSync(files)) mkdirSync(nothing, { recursive: true });
    return nothing;
  }

  /**
   * Makes `directory`, which holds the files and is in scratch space, the layer `record.id`. If the
   * layer exists already, this succeeds and `directory` is left to the caller.
   */
  add(record: LayerRecord, directory: string): void {
    let isInPlace = false;
    try {
      guarded(directory, () => {
        writeFileSync(join(directory, SIDECAR), sidecarOf(record));
        this.#store.lease.claim(layerHolds(record.id), 'restore', () => {
          try {
            renameSync(directory, this.directory(record.id));
            isInPlace = true;
          } catch (error) {
            if (!existsSync(join(this.directory(record.id), SIDECAR))) throw error;
          }
          this.#insert(record);
        });
      });
    } catch (error) {
      // The layer is whole, but its row could not be written, or its transaction not be ended. A
      // recovery writes the row when there is room for it.
      if (isInPlace) this.#store.recoverLater();
      throw error;
    }
  }

  get(id: LayerId): LayerRecord | undefined {
    const ours = this.#ours.get(id);
    // Another process may have described the layer meanwhile. An existing description is kept.
    return ours?.info ? ours : this.#read(id);
  }

  #read(id: LayerId): LayerRecord | undefined {
    const row = this.#store.db.get<Row>('SELECT * FROM layers WHERE id = ?', id);
    if (row && isSound(row)) return fromRow(row);
    if (row) return this.#mend(id);
    const { id: original } = originalOf(id);
    const record = original === id ? undefined : this.#read(original);
    if (!record) return undefined;
    // The row of a layer in another form says nothing that is not also in the sidecar, or can be
    // computed again.
    const info = isUnpacked(id) ? record.info : this.#beside(id)?.clamped?.[formName(id)];
    const other = { ...record, id, info };
    this.#insertOther(other);
    return other;
  }

  /** Treats a row that cannot be read like a missing one, because the sidecar holds the same. */
  #mend(id: LayerId): LayerRecord | undefined {
    const { db } = this.#store;
    this.#store.warn(UNREADABLE);
    db.run('DELETE FROM layers WHERE id = ?', id);
    const { id: original } = originalOf(id);
    if (!isLayerId(original)) return undefined;
    if (original !== id) return this.#read(id);
    const record = this.#beside(original);
    if (record) this.#adopt(record);
    return record;
  }

  /** Writes the row of a layer that is on disk. */
  #adopt(record: LayerRecord): void {
    this.#insert(record);
    if (existsSync(join(this.directory(record.id), SETTLED)))
      this.#store.db.run('UPDATE layers SET settled = 1 WHERE id = ?', record.id);
    for (const [form, info] of Object.entries(record.clamped ?? {}))
      this.#insertOther({ ...record, id: idOfName(record.id, form), info });
  }

  /**
   * Checks whether the directory of a layer is gone, whoever removed it. If it is, the row is
   * removed too, so that no step counts as cached any more. Undefined while the directory exists.
   */
  lost(id: LayerId): KilnError | undefined {
    const isThere = () => this.directories(id).every((path) => existsSync(path));
    if (isThere()) return undefined;
    return this.#store.db.transaction(() => {
      // Another process may have made it again, and writes the row when its files are in place.
      if (isThere()) return undefined;
      const { id: original } = originalOf(id);
      this.#store.db.run(
        'DELETE FROM layers WHERE id = ? OR id GLOB ?',
        original,
        othersOf(original),
      );
      this.#ours.clear();
      return missingLayer(id);
    });
  }

  /**
   * Runs `body`, which reads the directories of `ids`. If it fails because one of them is gone, the
   * error says so.
   */
  async reading<T>(ids: readonly LayerId[], body: () => Promise<T>): Promise<T> {
    try {
      return await body();
    } catch (error) {
      for (const id of ids) {
        const lost = this.lost(id);
        if (lost) throw lost;
      }
      throw error;
    }
  }

  /** A layer of that diffID that stands alone. It remains while this process uses the store. */
  find(diffId: Digest): LayerId | undefined {
    const look = () =>
      this.#store.db.get<{ id: LayerId }>(
        'SELECT id FROM layers WHERE diff_id = ? AND alone = 1 ORDER BY id LIMIT 1',
        diffId,
      )?.id;
    for (let id = look(); id !== undefined; id = look())
      if (this.missing([id]) === undefined) return id;
    // A row that cannot be read cannot be found by its diffID.
    return this.#mendAll() ? this.find(diffId) : undefined;
  }

  /**
   * Checks all rows, once, when something was not found. True when rows could not be read; they
   * have then been written again or removed.
   */
  #mendAll(): boolean {
    if (this.#looked) return false;
    this.#looked = true;
    if (unsoundRows(this.#store).length === 0) return false;
    this.#store.warn(UNREADABLE);
    removeUnsound(this.#store);
    this.#store.recoverAll();
    return true;
  }

  /**
   * The first of `ids` that does not exist. If all exist, they remain while the uses of the store
   * that have begun go on (leases.ts). The first call costs 20 µs for each layer, later ones a
   * look-up in a map while no other process writes to the store.
   */
  missing(ids: readonly LayerId[]): LayerId | undefined {
    const { db, lease } = this.#store;
    const version = db.version();
    if (version !== this.#version || lease.version !== this.#leaseVersion) this.#ours.clear();
    this.#version = version;
    this.#leaseVersion = lease.version;
    const strange = ids.filter((id) => !this.#ours.has(id));
    if (strange.length === 0) return undefined;
    return this.#store.lease.claim(strange.flatMap(layerHolds), 'look', () =>
      strange.find((id) => !this.#take(id)),
    );
  }

  /**
   * True when nothing is in the layer, which exists. False when that is not known yet: it is once
   * the layer was described.
   */
  isEmpty(id: LayerId): boolean {
    return this.#ours.get(id)?.info?.empty === true;
  }

  #take(id: LayerId): boolean {
    const record = isLayerId(originalOf(id).id) ? this.#read(id) : undefined;
    if (!record || this.lost(id)) return false;
    // The row of the base goes before its files, so that nobody begins to use what is removed.
    const base = baseOf(id);
    if (base !== undefined && !this.#take(base)) return false;
    this.#ours.set(id, record);
    return true;
  }

  /** Keeps what `describe` found, in the row and in the sidecar. */
  describe(id: LayerId, info: LayerInfo): void {
    const { db } = this.#store;
    const record = this.get(id);
    if (!record) return;
    this.#keepBeside(id, info);
    db.run(
      'UPDATE layers SET diff_id = ?, tar_size = ?, empty = ? WHERE id = ?',
      info.diffId,
      info.tarSize,
      Number(info.empty),
      id,
    );
    if (this.#ours.has(id)) this.#ours.set(id, { ...record, info });
  }

  /**
   * Writes the sidecar for the case that the row is lost. It holds what the layer's tars are, with
   * its own times and in other forms.
   */
  #keepBeside(id: LayerId, info: LayerInfo): void {
    const name = formName(id);
    const record = this.#beside(id);
    // The layer was removed meanwhile, or is damaged. fsck reports that.
    if (!record) return;
    const said = name === '' ? { info } : { clamped: { ...record.clamped, [name]: info } };
    const temporary = this.#store.scratchPath('sidecar');
    guarded(temporary, () => {
      writeFileSync(temporary, sidecarOf({ ...record, ...said }));
      renameSync(temporary, join(this.directory(id), SIDECAR));
    });
  }

  #beside(id: LayerId): LayerRecord | undefined {
    return readSidecar(join(this.directory(id), SIDECAR), originalOf(id).id);
  }

  touch(ids: Iterable<LayerId>): void {
    for (const id of ids) this.#touched.add(id);
  }

  /** Writes the times of use that `touch` collected, in one transaction. */
  flush(): void {
    if (this.#touched.size === 0) return;
    const { db } = this.#store;
    const now = Date.now();
    db.transaction(() => {
      for (const id of this.#touched) db.run('UPDATE layers SET used = ? WHERE id = ?', now, id);
    });
    this.#touched.clear();
  }

  /**
   * Whether there are layers whose files may not be on disk yet. Those that were made before the
   * last write-back are on disk, whatever their rows say.
   */
  hasUnsettled(): boolean {
    return this.#unsettled().pending.length > 0;
  }

  /**
   * Writes down which layers the last write-back has settled. To be called when the index is
   * written anyway: a build that finds everything made leaves it as it is, and may be recalled.
   */
  noteSettled(): void {
    const { done } = this.#unsettled();
    if (done.length > 0) this.settled(done);
  }

  #unsettled(): { readonly done: readonly LayerId[]; readonly pending: readonly LayerId[] } {
    const rows = this.#store.db.all<{ id: LayerId; written: number }>(
      'SELECT id, COALESCE(written, created) AS written FROM layers WHERE settled = 0',
    );
    if (rows.length === 0) return { done: [], pending: [] };
    const time = writtenBack(this.#store.root);
    const ids = (isDone: boolean) =>
      rows.filter(({ written }) => written < time === isDone).map(({ id }) => id);
    return { done: ids(true), pending: ids(false) };
  }

  /** Call this when a sync of the file system has ended that began after `ids` were read. */
  settled(ids: readonly LayerId[]): void {
    const { db } = this.#store;
    for (const id of ids) mark(join(this.directory(id), SETTLED));
    db.transaction(() => {
      for (const id of ids) db.run('UPDATE layers SET settled = 1 WHERE id = ?', id);
    });
  }

  /**
   * Makes a layer that is not intact count as removed. Its files stay until the next collection,
   * because something may have mounted them.
   */
  drop(id: LayerId): void {
    const { db } = this.#store;
    const { id: original } = originalOf(id);
    db.transaction(() => {
      db.run('DELETE FROM layers WHERE id = ? OR id GLOB ?', original, othersOf(original));
      db.run('INSERT OR IGNORE INTO condemned (name) VALUES (?)', layerHold(original));
    });
    this.#ours.clear();
  }

  /** Removes the layer: first the row, then the files, out of sight. */
  remove(id: LayerId): void {
    const { id: original } = originalOf(id);
    this.#store.db.run(
      'DELETE FROM layers WHERE id = ? OR id GLOB ?',
      original,
      othersOf(original),
    );
    this.#ours.clear();
    this.#discard(this.directory(id));
  }

  #insert(record: LayerRecord): void {
    const { info } = record;
    const now = Date.now();
    this.#store.db.run(
      `INSERT OR IGNORE INTO layers
         (id, diff_id, tar_size, empty, alone, created, used, written, boot, settled)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`,
      record.id,
      info?.diffId ?? null,
      info?.tarSize ?? null,
      info ? Number(info.empty) : null,
      Number(record.alone),
      record.created,
      now,
      now,
      record.boot,
    );
  }

  /** Removes what a power cut may have damaged: layers of earlier boots that are not on disk. */
  #dropUnsettled(): void {
    const { db } = this.#store;
    const sql = 'SELECT id FROM layers WHERE settled = 0 AND boot <> ?';
    const earlier = () => db.all<{ id: LayerId }>(sql, bootId());
    if (earlier().length === 0) return;
    this.noteSettled();
    for (const { id } of earlier()) this.remove(id);
  }

  /**
   * Repairs the table after a process died at work. A layer directory without a row gets its row
   * again. A directory without a readable `layer.json` is removed, and so is a row without a
   * directory. A live process that has renamed a layer and not yet written its row is not
   * disturbed, because both write the same row. Returns the layers that got their row again.
   */
  #recover(): readonly LayerRecord[] {
    const { db } = this.#store;
    removeUnsound(this.#store);
    const inTable = new Set(db.all<{ id: LayerId }>('SELECT id FROM layers').map((row) => row.id));
    const condemned = new Set(condemnedNames(db));
    const orphans: LayerRecord[] = [];
    for (const name of readdirSync(this.#store.layers)) {
      // A layer that is condemned but not yet removed waits for the next collection.
      if (inTable.has(name as LayerId) || condemned.has(`l${name}`)) continue;
      const directory = join(this.#store.layers, name);
      const record = readSidecar(join(directory, SIDECAR), name);
      if (record && (record.boot === bootId() || existsSync(join(directory, SETTLED))))
        orphans.push(record);
      else this.#discard(directory);
    }
    return db.transaction(() => {
      // Other processes add layers and remove them, so the disk is asked again. A row is written
      // after its directory is in place, and a directory is moved away within a transaction.
      const adopted = orphans.filter(({ id }) => existsSync(this.directory(id)));
      for (const record of adopted) this.#adopt(record);
      for (const id of inTable)
        if (!existsSync(this.directory(id))) db.run('DELETE FROM layers WHERE id = ?', id);
      return adopted;
    });
  }

  #discard(directory: string): void {
    const trash = this.#store.scratchPath('trash');
    try {
      renameSync(directory, trash);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') this.#store.recoverLater();
      return;
    }
    removeTree(trash);
  }
}

/**
 * Checks a row before use. SQLite stores values of any type, whatever the type of the column is.
 */
function isSound(row: Row): boolean {
  return (
    isLayerId(originalOf(row.id as LayerId).id) &&
    (row.diff_id === null || isDigest(row.diff_id)) &&
    (row.tar_size === null || isCount(row.tar_size)) &&
    isCount(row.created) &&
    typeof row.boot === 'string'
  );
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

/** The ids of rows that cannot be read. */
export function unsoundRows({ db }: Pick<Store, 'db'>): string[] {
  return db
    .all<Row & { readonly used: unknown; readonly disk: unknown }>('SELECT * FROM layers')
    .filter(
      (row) =>
        !isSound(row) || !isCount(row.used) || !(row.disk === null || typeof row.disk === 'number'),
    )
    .map(({ id }) => id);
}

/**
 * Removes rows that cannot be read. Their layers are then adopted or removed, like those without a
 * row.
 */
export function removeUnsound(store: Pick<Store, 'db'>): void {
  for (const id of unsoundRows(store)) {
    const original = originalOf(String(id) as LayerId).id;
    store.db.run(
      'DELETE FROM layers WHERE id IS ? OR id = ? OR id GLOB ?',
      id,
      original,
      othersOf(original),
    );
  }
}

/** The name of a form in a sidecar, and '' for the layer's own (see LayerRecord). */
function formName(id: LayerId): string {
  const { id: original } = originalOf(id);
  return id.slice(original.length).replace(/^t/, '');
}

function idOfName(id: LayerId, name: string): LayerId {
  return `${id}${/^\d/.test(name) ? 't' : ''}${name}` as LayerId;
}

/** The name of a layer in leases: that of its directory. */
export function layerHold(id: LayerId): string {
  return `l${originalOf(id).id}`;
}

/** The names of all directories that make up a layer. */
function layerHolds(id: LayerId): string[] {
  return ownersOf(id).map(layerHold);
}

/**
 * The name of the directory of files in that of the layer. That of a version has another one: a
 * Kiln that knows no versions finds no files, and makes the layer again.
 */
export function filesName(id: LayerId): 'fs' | 'over' {
  return baseOf(id) === undefined ? 'fs' : 'over';
}

function fromRow(row: Row): LayerRecord {
  const described = row.diff_id !== null && row.tar_size !== null;
  return {
    id: row.id as LayerId,
    alone: row.alone === 1,
    created: row.created,
    boot: row.boot,
    info: described
      ? { diffId: asDigest(row.diff_id), tarSize: row.tar_size, empty: row.empty === 1 }
      : undefined,
  };
}

function checked(id: LayerId): LayerId {
  if (!isLayerId(id)) throw new RangeError(`not a layer id: ${JSON.stringify(id)}`);
  return id;
}

/** A layer that was removed meanwhile needs no mark. */
function mark(path: string): void {
  try {
    closeSync(openSync(path, 'w'));
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}
