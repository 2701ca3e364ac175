import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, hexOf } from '../../base/digest.ts';
import type { ImageStore, StoredImage } from '../../snapshotter/images.ts';
import { originalOf } from '../../snapshotter/overlay/sidecar.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { namedBy } from '../gc/documents.ts';
import type { Report } from './problem.ts';

/** Records that cannot be read, and those whose layers are gone: the latter are no fault, as nobody uses them, but go with a repair. */
export function checkRecords({ db }: Store, report: Report): void {
  const there = new Set(db.all<{ id: LayerId }>('SELECT id FROM layers').map(({ id }) => originalOf(id).id));
  let verified = 0;
  for (const { key, outputs, parts } of db.all<{ key: string; outputs: string; parts: string }>(
    'SELECT key, outputs, parts FROM record',
  )) {
    const layers = layersOf(outputs, parts);
    if (layers?.every((layer) => there.has(layer))) verified++;
    if (layers) continue;
    report.problems.push({
      what: `the cache record ${key} cannot be read`,
      repair: 'it was removed',
      mend: () => void db.run('DELETE FROM record WHERE key = ?', key),
    });
  }
  report.verified.set('records', verified);
}

function layersOf(outputs: string, parts: string): LayerId[] | undefined {
  try {
    JSON.parse(parts);
    const values = JSON.parse(outputs) as readonly { readonly layers?: readonly LayerId[] }[];
    return values.flatMap(({ layers }) => (Array.isArray(layers) ? layers.map((id: LayerId) => originalOf(id).id) : []));
  } catch {
    return undefined;
  }
}

/** Every image: its documents, and for each layer a directory or a blob. */
export function checkImages(store: Store, images: Pick<ImageStore, 'list' | 'remove'>, report: Report): void {
  const bad = new Set(report.problems.flatMap(({ blob }) => blob ?? []));
  const gone = new Set(report.problems.flatMap(({ layer }) => layer ?? []));
  const diffIds = new Set(
    store.db
      .all<{ id: LayerId; diff_id: string }>('SELECT id, diff_id FROM layers WHERE diff_id IS NOT NULL')
      .filter(({ id }) => !gone.has(id))
      .map(({ diff_id }) => diff_id),
  );
  let verified = 0;
  for (const image of images.list()) {
    const lacks = lackOf(store, image, bad, diffIds);
    if (lacks === undefined) verified++;
    else {
      report.problems.push({
        what: `the image ${image.name} lacks ${lacks}`,
        repair: 'its name was removed: pull or build it again',
        mend: () => void images.remove(image.name),
      });
    }
  }
  report.verified.set('images', verified);
}

function lackOf(store: Store, image: StoredImage, bad: ReadonlySet<Digest>, diffIds: ReadonlySet<string>): string | undefined {
  const read = (digest: Digest) => {
    if (bad.has(digest)) return undefined;
    try {
      return readFileSync(join(store.blobs, hexOf(digest)), 'utf8');
    } catch {
      return undefined;
    }
  };
  const lack = (digest: Digest, needed: boolean): string | undefined => {
    const text = read(digest);
    // A platform of an index that was never fetched is not there, and need not be.
    if (text === undefined) return needed ? `the document ${digest}` : undefined;
    const named = namedBy(text);
    if (!named) return `a document that can be read: ${digest}`;
    const isIndex = named.layers.length === 0 && named.documents.length > 0 && !/"config"/.test(text);
    if (isIndex) return first(named.documents, (document) => lack(document, false));
    const configs = named.documents.map((document) => ({ document, config: read(document) }));
    const missing = configs.find(({ config }) => config === undefined);
    if (missing) return `the document ${missing.document}`;
    const ids = configs.flatMap(({ config }) => namedBy(config ?? '')?.diffIds ?? []);
    return first([...ids.keys()], (at) => {
      const blob = named.layers[at];
      const here = diffIds.has(ids[at]!) || (blob !== undefined && !bad.has(blob) && read(blob) !== undefined);
      return here ? undefined : `the layer ${ids[at]}`;
    });
  };
  return lack(image.target.digest, true);
}

function first<T, R>(values: readonly T[], look: (value: T) => R | undefined): R | undefined {
  for (const value of values) {
    const found = look(value);
    if (found !== undefined) return found;
  }
  return undefined;
}
