import type { BlobForms, ContentStore } from '../content.ts';
import type { ImageStore } from '../images.ts';
import { openContent } from '../store/content.ts';
import { openBlobForms } from '../store/forms.ts';
import { openImages } from '../store/images.ts';
import type { Store } from '../store/root.ts';
import type { LayerJobs } from './jobs.ts';
import { LayerTable } from './layers.ts';
import { OverlayPacker } from './packer.ts';
import { OverlaySnapshotter } from './snapshotter.ts';
import { systemJobs } from './system-jobs.ts';

/** The rooms over one store. Opening them reads a few rows; nothing is mounted and no worker started before it is needed. */
export interface Rooms {
  readonly store: Store;
  readonly content: ContentStore;
  readonly forms: BlobForms;
  readonly images: ImageStore;
  readonly snapshotter: OverlaySnapshotter;
  readonly packer: OverlayPacker;
}

/** Opens every room of `store`. Dispose the snapshotter before the store is closed. */
export function openRooms(store: Store, jobs: LayerJobs = systemJobs): Rooms {
  const content = openContent(store);
  const forms = openBlobForms(store, content);
  const images = openImages(store);
  const table = new LayerTable(store, ({ form }) => form && forms.record(form));
  const snapshotter = new OverlaySnapshotter(store, table, content, forms, jobs);
  return { store, content, forms, images, snapshotter, packer: new OverlayPacker(table, content, forms, jobs) };
}
