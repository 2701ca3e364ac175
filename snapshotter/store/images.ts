import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { datasync } from '../../base/datasync.ts';
import { type Digest, isDigest } from '../../base/digest.ts';
import type { Descriptor } from '../../base/oci.ts';
import type { MirroredImages, StoredImage } from '../images.ts';
import { putOwn, readOwn } from './own-file.ts';
import type { Store } from './root.ts';
import { guarded } from './store-errors.ts';

const TABLES = [
  `CREATE TABLE images (
     name TEXT PRIMARY KEY, target TEXT NOT NULL, configs TEXT NOT NULL, created INTEGER NOT NULL
   ) WITHOUT ROWID`,
  'ALTER TABLE images ADD COLUMN origin TEXT',
];

interface Row {
  readonly name: string;
  readonly target: string;
  readonly configs: string;
  readonly created: number;
  readonly origin: string | null;
}

/**
 * The names of images. The table is mirrored in `images.json`: unlike layers and blobs, names
 * cannot be found again on disk when the database is lost.
 */
export function openImages(store: Store): MirroredImages {
  store.migrate('images', TABLES);
  const images = new ImageTable(store);
  store.recovering('images', () => images.restore());
  return images;
}

class ImageTable implements MirroredImages {
  readonly #store: Store;
  readonly #mirrorPath: string;
  /** A mirror that is on disk already, for names that are about to be put. */
  #ahead: { readonly path: string; readonly text: string } | undefined;

  constructor(store: Store) {
    this.#store = store;
    this.#mirrorPath = join(store.root, 'images.json');
  }

  get(name: string): StoredImage | undefined {
    const row = this.#store.db.get<Row>('SELECT * FROM images WHERE name = ?', name);
    return row && (fromRow(row) ?? this.#mend(row.name));
  }

  list(): readonly StoredImage[] {
    const rows = this.#store.db.all<Row>('SELECT * FROM images ORDER BY name');
    return rows.flatMap((row) => fromRow(row) ?? this.#mend(row.name) ?? []);
  }

  isMirrored(): boolean {
    const names = (images: readonly StoredImage[]) =>
      JSON.stringify(images.map(({ name, target }) => [name, target.digest]));
    return names(this.#readMirror()) === names(this.list());
  }

  mirror(): void {
    this.#store.db.transaction(() => this.#writeMirror());
  }

  /** Repairs a row that cannot be read, if the mirror has the same image. */
  #mend(name: unknown): StoredImage | undefined {
    const image =
      typeof name === 'string'
        ? this.#readMirror().find((other) => other.name === name)
        : undefined;
    const shown = JSON.stringify(name);
    const { db } = this.#store;
    if (image) this.#insert(image);
    else db.run('DELETE FROM images WHERE name IS ?', name as string);
    this.#store.warn(
      image
        ? `what the index says of the image ${shown} could not be read: it was ` +
            'taken from images.json'
        : `what the index says of the image ${shown} could not be read: pull or build it again`,
    );
    return image;
  }

  put(...images: readonly StoredImage[]): void {
    // A fully cached build writes nothing: its transaction, the mirror and their syncs would take
    // longer than the rest of its export.
    const changed = this.#changed(images);
    if (changed.length === 0) return;
    this.#store.db.transaction(() => {
      for (const image of changed) this.#insert(image);
      // Once for all names: it takes as long as the store has names, and a sync of the disk.
      this.#writeMirror();
    });
    this.#store.db.syncSoon();
  }

  async prepare(...images: readonly StoredImage[]): Promise<void> {
    const changed = this.#changed(images);
    if (changed.length === 0) return;
    const text = this.#mirrorAfter(changed);
    const path = this.#store.scratchPath('images');
    const fd = guarded(this.#mirrorPath, () => openSync(path, 'wx', 0o600));
    try {
      guarded(this.#mirrorPath, () => writeFileSync(fd, text));
      await datasync(fd);
    } finally {
      closeSync(fd);
    }
    this.#ahead = { path, text };
  }

  /** The text of the mirror as it will be when `images` are put. */
  #mirrorAfter(images: readonly StoredImage[]): string {
    let text = '';
    const undo = new Error('the names are only tried');
    try {
      this.#store.db.transaction(() => {
        for (const image of images) this.#insert(image);
        text = this.#text();
        throw undo;
      });
    } catch (error) {
      if (error !== undo) throw error;
    }
    return text;
  }

  #changed(images: readonly StoredImage[]): StoredImage[] {
    return images.filter((image) => {
      const before = this.get(image.name);
      return !before || !isSame(before, image) || this.#isReplaced(before, image.origin);
    });
  }

  #isReplaced({ created }: StoredImage, origin: string | undefined): boolean {
    if (origin === undefined) return false;
    const later = 'SELECT 1 FROM images WHERE origin = ? AND created > ? LIMIT 1';
    return this.#store.db.get(later, origin, created) !== undefined;
  }

  remove(name: string): boolean {
    const wasRemoved = this.#store.db.transaction(() => {
      const removed = this.#store.db.run('DELETE FROM images WHERE name = ?', name) > 0;
      if (removed) this.#writeMirror();
      return removed;
    });
    if (wasRemoved) this.#store.db.syncSoon();
    return wasRemoved;
  }

  /** Fills an empty table from the mirror. A table with rows takes precedence. */
  restore(): void {
    this.#store.db.transaction(() => {
      if (this.#store.db.get('SELECT 1 FROM images LIMIT 1') !== undefined) return;
      for (const image of this.#readMirror()) this.#insert(image);
    });
  }

  #insert(image: StoredImage): void {
    this.#store.db.run(
      'INSERT OR REPLACE INTO images (name, target, configs, created, origin) ' +
        'VALUES (?, ?, ?, ?, ?)',
      image.name,
      JSON.stringify(image.target),
      JSON.stringify(image.configs),
      Math.trunc(image.created),
      image.origin ?? null,
    );
  }

  /** Called inside the transaction, so that the last writer's mirror holds every name. */
  #writeMirror(): void {
    const text = this.#text();
    const ahead = this.#ahead;
    this.#ahead = undefined;
    guarded(this.#mirrorPath, () => {
      // The new mirror is on disk before it replaces the old one, so a power cut leaves one of the
      // two.
      if (ahead?.text === text) return putOwn(ahead.path, this.#mirrorPath);
      const temporary = this.#store.scratchPath('images');
      writeFileSync(temporary, text, { mode: 0o600, flush: true });
      putOwn(temporary, this.#mirrorPath);
    });
  }

  #text(): string {
    return `${JSON.stringify(this.list(), undefined, 1)}\n`;
  }

  /** Reads what is readable. A mirror that was torn by a power cut counts as missing. */
  #readMirror(): StoredImage[] {
    const bytes = readOwn(this.#mirrorPath);
    let entries: unknown;
    try {
      entries = JSON.parse(bytes?.toString() ?? '[]');
    } catch {
      return [];
    }
    return Array.isArray(entries) ? entries.flatMap((entry) => checked(entry) ?? []) : [];
  }
}

/**
 * True when both name the same documents. The time of creation is that of the first, so it does not
 * count.
 */
function isSame(one: StoredImage, other: StoredImage): boolean {
  return (
    JSON.stringify([one.target, one.configs]) === JSON.stringify([other.target, other.configs])
  );
}

function fromRow({ name, target, configs, created, origin }: Row): StoredImage | undefined {
  try {
    return checked({
      name,
      target: JSON.parse(target) as unknown,
      configs: JSON.parse(configs) as unknown,
      created,
      origin: origin ?? undefined,
    });
  } catch {
    return undefined;
  }
}

/** Checks an image of the table or the mirror. Undefined for anything else. */
function checked(value: unknown): StoredImage | undefined {
  const { name, target, configs, created, origin } = Object(value) as Partial<StoredImage>;
  if (typeof name !== 'string' || name === '' || typeof created !== 'number') return undefined;
  if (!isDescriptor(target) || !Array.isArray(configs) || !configs.every(isDigestText))
    return undefined;
  const image = { name, target, configs, created };
  return typeof origin === 'string' ? { ...image, origin } : image;
}

function isDescriptor(value: unknown): value is Descriptor {
  const { digest, size, mediaType } = Object(value) as Partial<Descriptor>;
  return (
    isDigestText(digest) && typeof mediaType === 'string' && typeof size === 'number' && size >= 0
  );
}

function isDigestText(value: unknown): value is Digest {
  return typeof value === 'string' && isDigest(value);
}
