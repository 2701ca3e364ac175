import type { BlobForms, ContentStore } from '../content.ts';
import { chooseTrees } from '../copying/choose.ts';
import type { MirroredImages } from '../images.ts';
import { openContent } from '../store/content.ts';
import { openBlobForms } from '../store/forms.ts';
import { openImages } from '../store/images.ts';
import type { Store } from '../store/root.ts';
import type { LayerJobs } from './jobs.ts';
import { LayerTable } from './layers.ts';
import { OverlayPacker } from './packer.ts';
import { inlineJobs } from './pooled-jobs.ts';
import { OverlaySnapshotter } from './snapshotter.ts';

/**
 * The services over one store. Opening them reads a few rows. Nothing is mounted, and no worker is
 * started, before it is needed.
 */
export interface StoreServices {
  readonly store: Store;
  readonly content: ContentStore;
  readonly forms: BlobForms;
  readonly images: MirroredImages;
  readonly snapshotter: OverlaySnapshotter;
  readonly packer: OverlayPacker;
}

/**
 * Opens all services of `store`. Dispose of the snapshotter before the store is closed. Pass
 * `pooledJobs(pool)` as `jobs` for anything more than a look. Without it, work on bytes is done on
 * this thread.
 */
export function openServices(store: Store, jobs: LayerJobs = inlineJobs()): StoreServices {
  const content = openContent(store);
  const forms = openBlobForms(store, content);
  const images = openImages(store);
  const table = new LayerTable(store, ({ form }) => form && forms.record(form));
  const snapshotter = new OverlaySnapshotter(store, table, content, forms, jobs, () =>
    chooseTrees(store, jobs),
  );
  return {
    store,
    content,
    forms,
    images,
    snapshotter,
    packer: new OverlayPacker(table, content, forms, jobs),
  };
}
