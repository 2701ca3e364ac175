import type { Digest } from '../base/digest.ts';
import type { Descriptor } from '../base/oci.ts';
import type { ContentStore } from '../snapshotter/content.ts';
import type { ImageStore } from '../snapshotter/images.ts';

/** The parts of Kiln that loading an archive of any format needs. */
export interface LoadServices {
  readonly content: ContentStore;
  readonly images: ImageStore;
}

export interface LoadOptions {
  readonly signal: AbortSignal;
  /** Gets the number of copied bytes of one blob, and their total. */
  readonly progress?: (blob: Digest, copied: number, size: number) => void;
  /** The full name for an image that has none in the archive. */
  readonly name?: string;
}

/** A loaded image, and the full names it now has. There are none when the archive had none. */
export interface LoadedImage {
  readonly target: Descriptor;
  readonly names: readonly string[];
}
