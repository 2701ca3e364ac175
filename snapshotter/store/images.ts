import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asDigest } from '../../base/digest.ts';
import { errnoOf } from '../../base/errors.ts';
import type { Descriptor } from '../../base/oci.ts';
import type { ImageStore, StoredImage } from '../images.ts';
import { guarded } from './errors.ts';
import type { Store } from './root.ts';

const TABLES = [
  `CREATE TABLE images (
     name TEXT PRIMARY KEY, target TEXT NOT NULL, configs TEXT NOT NULL, created INTEGER NOT NULL
   ) WITHOUT ROWID`,
];

interface Row {
  readonly name: string;
  readonly target: string;
  readonly configs: string;
  readonly created: number;
}

/**
 * The names of images. The table is mirrored in `images.json`, because names, unlike layers and blobs, cannot be found again on
 * disk when the database is lost.
 */
export function openImages(store: Store): ImageStore {
  store.migrate('images', TABLES);
  const images = new ImageTable(store);
  if (store.mustRecover('images')) {
    images.restore();
    store.recovered('images');
  }
  return images;
}

class ImageTable implements ImageStore {
  readonly #store: Store;
  readonly #mirror: string;

  constructor(store: Store) {
    this.#store = store;
    this.#mirror = join(store.root, 'images.json');
  }

  get(name: string): StoredImage | undefined {
    const row = this.#store.db.get<Row>('SELECT * FROM images WHERE name = ?', name);
    return row && fromRow(row);
  }

  list(): readonly StoredImage[] {
    return this.#store.db.all<Row>('SELECT * FROM images ORDER BY name').map(fromRow);
  }

  put(image: StoredImage): void {
    // A build that found everything cached writes nothing: its transaction, the mirror and their syncs take longer than the rest of its export.
    const before = this.get(image.name);
    if (before && isSame(before, image)) return;
    this.#store.db.transaction(() => {
      this.#insert(image);
      this.#writeMirror();
    });
  }

  remove(name: string): boolean {
    return this.#store.db.transaction(() => {
      const removed = this.#store.db.run('DELETE FROM images WHERE name = ?', name) > 0;
      if (removed) this.#writeMirror();
      return removed;
    });
  }

  /** Fills an empty table from the mirror; a table with rows knows better. */
  restore(): void {
    this.#store.db.transaction(() => {
      if (this.list().length > 0) return;
      for (const image of this.#readMirror()) this.#insert(image);
    });
  }

  #insert(image: StoredImage): void {
    this.#store.db.run(
      'INSERT OR REPLACE INTO images (name, target, configs, created) VALUES (?, ?, ?, ?)',
      image.name,
      JSON.stringify(image.target),
      JSON.stringify(image.configs),
      Math.trunc(image.created),
    );
  }

  /** Inside the transaction, so that the last writer's mirror holds every name. */
  #writeMirror(): void {
    const temporary = this.#store.scratchPath('images');
    guarded(this.#mirror, () => {
      writeFileSync(temporary, `${JSON.stringify(this.list(), undefined, 1)}\n`, { mode: 0o600 });
      renameSync(temporary, this.#mirror);
    });
  }

  #readMirror(): StoredImage[] {
    try {
      const images = JSON.parse(readFileSync(this.#mirror, 'utf8')) as StoredImage[];
      return images.map((image) => checked(image.name, image.target, image.configs, image.created));
    } catch (error) {
      // A torn mirror (power cut) is as good as none.
      if (errnoOf(error) === 'ENOENT' || error instanceof SyntaxError || error instanceof RangeError) return [];
      throw error;
    }
  }
}

/** The same documents; when the name was given is told of the first time. */
function isSame(one: StoredImage, other: StoredImage): boolean {
  return JSON.stringify([one.target, one.configs]) === JSON.stringify([other.target, other.configs]);
}

function fromRow(row: Row): StoredImage {
  return checked(row.name, JSON.parse(row.target) as Descriptor, JSON.parse(row.configs) as string[], row.created);
}

function checked(name: string, target: Descriptor, configs: readonly string[], created: number): StoredImage {
  return { name, target: { ...target, digest: asDigest(target.digest) }, configs: configs.map(asDigest), created };
}
