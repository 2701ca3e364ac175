import type { Digest } from '../base/digest.ts';
import type { Descriptor } from '../base/oci.ts';
import type { ContentStore } from '../snapshotter/content.ts';
import type { ImageStore } from '../snapshotter/images.ts';

/** What an archive is loaded into, whatever its format. */
export interface LoadServices {
  readonly content: ContentStore;
  readonly images: ImageStore;
}

export interface LoadOptions {
  readonly signal: AbortSignal;
  /** Bytes of one blob that have been copied, of how many. */
  readonly progress?: (blob: Digest, copied: number, size: number) => void;
  /** The full name for an image to which the archive gives none. */
  readonly name?: string;
}

/** What was loaded: an image, and the full names it has now (none, when the archive gave none). */
export interface LoadedImage {
  readonly target: Descriptor;
  readonly names: readonly string[];
}
