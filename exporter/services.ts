import type { ContentStore } from '../snapshotter/content.ts';
import type { ImageStore } from '../snapshotter/images.ts';
import type { LayerPacker } from '../snapshotter/packer.ts';
import type { Snapshotter } from '../snapshotter/snapshotter.ts';

/** What exporters work with. */
export interface ExportServices {
  readonly snapshotter: Snapshotter;
  readonly packer: LayerPacker;
  readonly content: ContentStore;
  readonly images: ImageStore;
}
