import { lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, hexOf } from '../../base/digest.ts';
import type { ImageStore, StoredImage } from '../../snapshotter/images.ts';
import { unsoundRows } from '../../snapshotter/overlay/layers.ts';
import { originalOf } from '../../snapshotter/overlay/sidecar.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { type NamedBy, namedBy } from '../gc/document-names.ts';
import { isNamed } from '../gc/inventory.ts';
import { type NeededLayer, needsOf } from '../gc/needs.ts';
import { damagedIn, type FsckReport } from './fsck-report.ts';

/** The existing and undamaged items, to find out what an image lacks. */
interface Sound {
  readonly document: (digest: Digest) => NamedBy | undefined;
  readonly hasBlob: (digest: Digest) => boolean;
  /** Layers by diffID. */
  readonly layers: ReadonlySet<string>;
}

/**
 * Checks every image: its documents, and for each layer its blob, or a directory from which the
 * blob can be made.
 */
export function checkImages(
  store: Store,
  images: Pick<ImageStore, 'list' | 'remove'>,
  report: FsckReport,
): void {
  let verified = 0;
  let sound = soundParts(store, report);
  for (const image of images.list()) {
    let lacks = lackOf(image, sound);
    if (lacks !== undefined) {
      // It may have been built, together with what it needs, since the index was read.
      sound = soundParts(store, report);
      lacks = lackOf(image, sound);
    }
    if (lacks === undefined) verified++;
    else {
      report.problems.push({
        what: `the image ${image.name} lacks ${lacks}`,
        repair: isNamed(image)
          ? 'its name was removed: pull or build it again'
          : 'it was removed: build it again',
        // No build can write its layers or its name between the look and the removal.
        mend: () => store.db.transaction(() => removeIfLacking(store, images, image, report)),
      });
    }
  }
  report.verified.set('images', verified);
}

/** The image may have been built or removed since the list was read. */
function removeIfLacking(
  store: Store,
  images: Pick<ImageStore, 'list' | 'remove'>,
  image: StoredImage,
  report: FsckReport,
): void {
  const now = images.list().find(({ name }) => name === image.name);
  if (now?.target.digest !== image.target.digest) return;
  if (lackOf(now, soundParts(store, report)) !== undefined) images.remove(now.name);
}

function soundParts(store: Store, report: FsckReport): Sound {
  const damaged = damagedIn(report);
  const unsound = new Set(unsoundRows(store));
  const read = new Map<Digest, NamedBy | undefined>();
  const hasBlob = (digest: Digest) => !damaged.blobs.has(digest) && exists(store, digest);
  const rows = store.db.all<{ id: LayerId; diff_id: string }>(
    'SELECT id, diff_id FROM layers WHERE diff_id IS NOT NULL',
  );
  return {
    hasBlob,
    document(digest) {
      if (!read.has(digest))
        read.set(digest, damaged.blobs.has(digest) ? undefined : readDocument(store, digest));
      return read.get(digest);
    },
    layers: new Set(
      rows
        .filter(({ id }) => !unsound.has(id) && !damaged.layers.has(originalOf(id).id))
        .map(({ diff_id }) => diff_id),
    ),
  };
}

function exists(store: Store, digest: Digest): boolean {
  return lstatSync(join(store.blobs, hexOf(digest)), { throwIfNoEntry: false }) !== undefined;
}

function readDocument(store: Store, digest: Digest): NamedBy | undefined {
  try {
    return namedBy(readFileSync(join(store.blobs, hexOf(digest)), 'utf8'));
  } catch {
    return undefined;
  }
}

function lackOf(image: StoredImage, { document, hasBlob, layers }: Sound): string | undefined {
  const needs = needsOf(image, document);
  if (needs.lacks !== undefined) return needs.lacks;
  // An image is run from its layers and sent as its blobs. The tar of a layer can be made from the
  // layer; any other blob exists only as it was received.
  const isHere = ({ diffId, blob }: NeededLayer) => {
    if (blob === undefined) return diffId !== undefined && layers.has(diffId);
    return hasBlob(blob) || (blob === diffId && layers.has(diffId));
  };
  const lost = needs.layers.find((layer) => !isHere(layer));
  return lost && `the layer ${lost.diffId ?? lost.blob}`;
}
