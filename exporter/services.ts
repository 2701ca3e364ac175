import type { ContentStore } from '../snapshotter/content.ts';
import type { ImageStore } from '../snapshotter/images.ts';
import type { LayerPacker } from '../snapshotter/packer.ts';
import type { Snapshotter } from '../snapshotter/snapshotter.ts';

/** The parts of Kiln that exporters use. */
export interface ExportServices {
  readonly snapshotter: Snapshotter;
  readonly packer: LayerPacker;
  readonly content: ContentStore;
  readonly images: ImageStore;
}
