import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { asDigest, type Digest, hexOf } from '../../base/digest.ts';
import type { ImageStore, StoredImage } from '../../snapshotter/images.ts';
import type { CollectionChecks, LayerUse } from '../../snapshotter/overlay/collection.ts';
import { isUnpacked, originalOf, ownersOf } from '../../snapshotter/overlay/sidecar.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { MAX_DOCUMENT, type NamedBy, namedBy } from './document-names.ts';
import type { Item } from './item.ts';
import { needsOf } from './needs.ts';
import { type LayerStanding, type Stack, standings } from './stacks.ts';

/** A cache record as the collector sees it. */
export interface RecordUse {
  readonly key: string;
  readonly layers: readonly LayerId[];
  readonly description: string;
  readonly used: number;
}

/** The data from which the inventory is made. */
export interface StoreContents {
  readonly store: Store;
  readonly images: Pick<ImageStore, 'list'>;
  readonly layers: readonly LayerUse[];
  readonly records: readonly RecordUse[];
  /** Items that are neither layers nor blobs. */
  readonly others: readonly Item[];
  readonly inUse: CollectionChecks['inUse'];
  readonly now: number;
}

/**
 * A document that nothing refers to is kept for this long. It may belong to a base image that was
 * looked up but not needed yet.
 */
const DOCUMENT_MS = 48 * 3_600_000;

/** Everything in the store that takes space. Each byte is counted in exactly one item. */
export function takeInventory(stock: StoreContents): Item[] {
  return new Inventory(stock).items();
}

/**
 * True for an image with a name of its own. An image without a name is a result that the user did
 * not ask to keep. It depends on its layers, and is removed before them.
 */
export function isNamed(image: StoredImage): boolean {
  return !image.name.startsWith('sha256:');
}

interface Blob {
  readonly digest: Digest;
  readonly disk: number;
  readonly size: number;
  readonly modified: number;
}

class Inventory {
  readonly #stock: StoreContents;
  readonly #blobs: Map<Digest, Blob>;
  readonly #documents = new Map<Digest, NamedBy | undefined>();
  readonly #byDiff = new Map<Digest, LayerUse[]>();
  readonly #layers: Map<LayerId, LayerUse>;
  /** Blobs and layers that a named image needs. */
  readonly #pinned = new Set<string>();
  /** The layer, or the image without a name, together with which a blob is removed. */
  readonly #owner = new Map<Digest, string>();
  /** Blobs of layers that stay, in forms that no image needs, for example after a push. */
  readonly #spare = new Set<Digest>();
  /** The documents that names stand for. */
  readonly #named = new Set<Digest>();
  /** When the last image of an origin was built, by the origin. */
  readonly #latest = new Map<string, number>();
  /** Blobs that several images without a name need. Each is an item of its own. */
  readonly #common = new Set<Digest>();

  constructor(stock: StoreContents) {
    this.#stock = stock;
    this.#blobs = new Map(readBlobs(stock.store).map((blob) => [blob.digest, blob]));
    this.#layers = new Map(stock.layers.map((layer) => [layer.id, layer]));
    for (const layer of [...stock.layers].sort((a, b) => (a.id < b.id ? -1 : 1)))
      if (layer.diffId) this.#known(layer.diffId, layer);
    for (const { diffId, id } of layersInOtherForms(stock.store)) {
      const layer = this.#layers.get(id);
      if (layer) this.#known(diffId, layer);
    }
  }

  items(): Item[] {
    const { images, records } = this.#stock;
    const stored = images.list();
    for (const image of stored) {
      const { origin, created } = image;
      if (isNamed(image)) {
        this.#pin(image.target.digest);
        this.#named.add(image.target.digest);
      } else if (origin !== undefined)
        this.#latest.set(origin, Math.max(created, this.#latest.get(origin) ?? 0));
    }
    this.#ownForms();
    const nameless = stored
      .filter((image) => !isNamed(image))
      .map((image) => this.#nameless(image));
    this.#shareOut(nameless);
    this.#ownDocuments();
    const stacks = [...records, ...nameless.map(({ stack }) => stack)];
    const standing = standings(stacks, (id) => this.#layers.get(id)?.used ?? 0);
    const results = nameless.map((image) => this.#imageItem(image));
    return [
      ...this.#layerItems(standing),
      ...results,
      ...this.#blobItems(results),
      ...this.#stock.others,
    ];
  }

  #known(diffId: Digest, layer: LayerUse): void {
    const known = this.#byDiff.get(diffId);
    if (known) known.push(layer);
    else this.#byDiff.set(diffId, [layer]);
  }

  #read(digest: Digest): NamedBy | undefined {
    if (this.#documents.has(digest)) return this.#documents.get(digest);
    const blob = this.#blobs.get(digest);
    const named =
      blob && blob.size <= MAX_DOCUMENT
        ? readDocument(join(this.#stock.store.blobs, hexOf(digest)))
        : undefined;
    this.#documents.set(digest, named);
    return named;
  }

  /**
   * Marks everything that a document of an image names. When several layers have one diffID, the
   * image needs those that it may be mounted from.
   */
  #pin(digest: Digest): void {
    if (this.#pinned.has(digest)) return;
    this.#pinned.add(digest);
    const named = this.#read(digest);
    if (!named) return;
    for (const layer of named.layers) this.#pinned.add(layer);
    for (const diffId of named.diffIds)
      for (const layer of this.#needed(diffId)) this.#pinned.add(layer);
    for (const document of named.documents) this.#pin(document);
  }

  /** The layers that an image needs for a diffID, with the bases of those that have one. */
  #needed(diffId: Digest): LayerId[] {
    return neededOf(this.#byDiff.get(diffId)).flatMap(({ id }) => ownersOf(id));
  }

  /**
   * A blob that holds a layer is removed with that layer. When several layers have its diffID, it
   * is removed with the one that an image needs.
   */
  #ownForms(): void {
    const forms = this.#stock.store.db.all<{ diff_id: string; digest: string; variant: string }>(
      'SELECT diff_id, digest, variant FROM forms',
    );
    for (const form of forms) {
      const layers = this.#byDiff.get(form.diff_id as Digest);
      const owner = layers?.find(({ id }) => this.#pinned.has(id)) ?? layers?.[0];
      const digest = form.digest as Digest;
      if (!owner) continue;
      // A pulled blob cannot be made again here.
      const isSpare =
        form.variant !== 'pulled' && this.#pinned.has(owner.id) && !this.#pinned.has(digest);
      if (isSpare) this.#spare.add(digest);
      else this.#owner.set(digest, owner.id);
    }
  }

  /** The layers that an image without a name depends on, and the blobs that only this image has. */
  #nameless(image: StoredImage): UnnamedImage {
    const needs = needsOf(image, (digest) => this.#read(digest));
    const layers = needs.layers.flatMap(({ diffId }) => (diffId ? this.#needed(diffId) : []));
    const blobs = new Set([...needs.documents, ...needs.layers.flatMap(({ blob }) => blob ?? [])]);
    return {
      image,
      layers: [...new Set(layers)],
      blobs: [...blobs].filter(
        (digest) =>
          this.#blobs.has(digest) && !this.#pinned.has(digest) && !this.#owner.has(digest),
      ),
      stack: { layers, used: image.created, description: 'image without a name' },
    };
  }

  /**
   * A blob of one image is removed with it. A blob that several images need is removed after the
   * last of them.
   */
  #shareOut(nameless: readonly UnnamedImage[]): void {
    for (const { image, blobs } of nameless) {
      for (const digest of blobs) {
        this.#spare.delete(digest);
        if (this.#owner.has(digest) || this.#common.has(digest)) {
          this.#owner.delete(digest);
          this.#common.add(digest);
        } else this.#owner.set(digest, image.name);
      }
    }
  }

  #imageItem({ image, layers, blobs }: UnnamedImage): Item {
    const own = blobs.filter((digest) => this.#owner.get(digest) === image.name);
    const { inUse } = this.#stock;
    return {
      id: image.name,
      type: 'regular',
      parents: [...layers, ...blobs.filter((digest) => this.#common.has(digest)).map(hexOf)],
      description: 'image without a name',
      size: own.reduce((sum, digest) => sum + (this.#blobs.get(digest)?.disk ?? 0), 0),
      created: image.created,
      used: image.created,
      inUse: blobs.some((digest) => inUse({ blob: digest })),
      shared: false,
      mutable: false,
      garbage: this.#isReplaced(image),
      fixed: false,
      content: { image: image.name, blobs: own },
    };
  }

  /** True when a later build has replaced the image, or when the image has a name, too. */
  #isReplaced({ target, origin, created }: StoredImage): boolean {
    if (this.#named.has(target.digest)) return true;
    return origin !== undefined && created < (this.#latest.get(origin) ?? 0);
  }

  #ownBelow(digest: Digest, top: LayerId): void {
    if (this.#pinned.has(digest) || this.#owner.has(digest) || this.#common.has(digest)) return;
    this.#owner.set(digest, top);
    for (const document of this.#read(digest)?.documents ?? []) this.#ownBelow(document, top);
  }

  /**
   * The documents of a base image whose layers are here are removed with its top layer: without
   * them the image could not be used without a network.
   */
  #ownDocuments(): void {
    for (const { digest, size } of this.#blobs.values()) {
      if (
        size > MAX_DOCUMENT ||
        this.#pinned.has(digest) ||
        this.#owner.has(digest) ||
        this.#common.has(digest)
      )
        continue;
      const top = this.#topOf(digest);
      if (top !== undefined) this.#ownBelow(digest, top);
    }
  }

  /** The top layer of the first image below a document whose layers are all here. */
  #topOf(digest: Digest): LayerId | undefined {
    const named = this.#read(digest);
    if (!named) return undefined;
    if (named.diffIds.length > 0) {
      const layers = named.diffIds.map((diffId) => this.#byDiff.get(diffId)?.[0]);
      return layers.every((layer) => layer !== undefined) ? layers.at(-1)?.id : undefined;
    }
    for (const document of named.documents) {
      const top = this.#topOf(document);
      if (top !== undefined) return top;
    }
    return undefined;
  }

  #layerItems(standing: ReadonlyMap<LayerId, LayerStanding>): Item[] {
    const blobs = new Map<string, Blob[]>();
    for (const [digest, owner] of this.#owner) {
      const blob = this.#blobs.get(digest);
      if (!blob) continue;
      const known = blobs.get(owner);
      if (known) known.push(blob);
      else blobs.set(owner, [blob]);
    }
    return this.#stock.layers.map((layer) =>
      this.#layerItem(layer, standing.get(layer.id), blobs.get(layer.id) ?? []),
    );
  }

  #layerItem(layer: LayerUse, standing: LayerStanding | undefined, blobs: readonly Blob[]): Item {
    const { inUse } = this.#stock;
    const shared = this.#pinned.has(layer.id);
    return {
      id: layer.id,
      type: 'regular',
      parents: standing?.parent === undefined ? [] : [standing.parent],
      description: standing?.description ?? (shared ? 'layer of an image' : 'unused layer'),
      size: layer.disk + blobs.reduce((sum, { disk }) => sum + disk, 0),
      created: layer.created,
      used: Math.max(standing?.used ?? 0, layer.used),
      inUse: inUse({ layer: layer.id }) || blobs.some(({ digest }) => inUse({ blob: digest })),
      shared,
      mutable: false,
      garbage: !shared && standing === undefined,
      fixed: false,
      content: {
        layer: layer.id,
        blobs: blobs.map(({ digest }) => digest).filter((digest) => !this.#pinned.has(digest)),
      },
    };
  }

  /**
   * Blobs that belong to no layer and no image: documents, layers that were fetched but not
   * unpacked, and blobs that nothing needs.
   */
  #blobItems(images: readonly Item[]): Item[] {
    // A blob counts as used no earlier than the images that depend on it.
    const used = new Map<string, number>();
    for (const image of images)
      for (const parent of image.parents)
        used.set(parent, Math.max(used.get(parent) ?? 0, image.used));
    return [...this.#blobs.values()]
      .filter(({ digest }) => !this.#owner.has(digest))
      .map((blob) => this.#blobItem(blob, used.get(hexOf(blob.digest)) ?? 0));
  }

  #blobItem({ digest, disk, modified }: Blob, used: number): Item {
    const shared = this.#pinned.has(digest);
    const isDocument = this.#read(digest) !== undefined;
    const isCommon = this.#common.has(digest);
    const isSpare = this.#spare.has(digest);
    return {
      id: hexOf(digest),
      type: isCommon ? 'regular' : 'internal',
      parents: [],
      description: isCommon
        ? 'shared by images without a name'
        : isSpare
          ? 'another form of a layer'
          : isDocument
            ? 'document of an image'
            : shared
              ? 'layer of an image, not unpacked'
              : 'unused blob',
      size: disk,
      created: modified,
      used: Math.max(modified, used),
      inUse: this.#stock.inUse({ blob: digest }),
      shared,
      mutable: false,
      garbage:
        !shared &&
        !isCommon &&
        !isSpare &&
        !(isDocument && modified > this.#stock.now - DOCUMENT_MS),
      fixed: false,
      content: { blobs: [digest] },
    };
  }
}

/** An image without a name, and the parts of it that are here. */
interface UnnamedImage {
  readonly image: StoredImage;
  readonly layers: readonly LayerId[];
  readonly blobs: readonly Digest[];
  readonly stack: Stack;
}

/** A layer without a parent serves every image. A layer with parents serves only some. */
function neededOf(layers: readonly LayerUse[] | undefined): readonly LayerUse[] {
  if (!layers) return [];
  const alone = layers.find(({ id }) => !id.startsWith('c'));
  return alone ? [alone] : layers;
}

function layersInOtherForms({ db }: Store): { diffId: Digest; id: LayerId }[] {
  return db
    .all<{ id: string; diff_id: string }>(
      "SELECT id, diff_id FROM layers WHERE id GLOB '*[tw]*' AND diff_id IS NOT NULL",
    )
    .flatMap(({ id, diff_id }) => {
      const { id: original } = originalOf(id as LayerId);
      return original === id || isUnpacked(original)
        ? []
        : [{ diffId: diff_id as Digest, id: original }];
    });
}

function readBlobs({ blobs }: Store): Blob[] {
  return readdirSync(blobs).flatMap((name) => {
    if (!/^[0-9a-f]{64}$/.test(name)) return [];
    const stat = lstatSync(join(blobs, name), { throwIfNoEntry: false });
    if (!stat) return [];
    return [
      {
        digest: asDigest(`sha256:${name}`),
        disk: stat.blocks * 512,
        size: stat.size,
        modified: stat.mtimeMs,
      },
    ];
  });
}

function readDocument(path: string): NamedBy | undefined {
  try {
    const bytes = readFileSync(path);
    return bytes[0] === 0x7b ? namedBy(bytes.toString('utf8')) : undefined;
  } catch {
    return undefined;
  }
}
