import type { Digest } from '../base/digest.ts';
import type { Descriptor } from '../base/oci.ts';

/**
 * The local image store: names to descriptors of manifests or indexes whose documents are in the
 * content store. Names are kept in their full form (`docker.io/library/busybox:latest`, see
 * registry/names.ts). A layer that was built here may have no blob yet: the manifest names it by
 * its uncompressed form and `layers` ties each diffID to the committed layer.
 */
export interface ImageStore {
  get(name: string): StoredImage | undefined;
  list(): readonly StoredImage[];
  /**
   * Creates or moves a name, in one transaction; one that stands for the same documents already
   * stays as it is.
   */
  put(image: StoredImage): void;
  /** False when there was no such name. */
  remove(name: string): boolean;
}

/**
 * An image store whose names outlive its table: a copy of them is kept beside it, from which a lost
 * table is filled.
 */
export interface MirroredImages extends ImageStore {
  /** Whether the copy says the same as the table. */
  isMirrored(): boolean;
  /** Writes the copy again. */
  mirror(): void;
}

export interface StoredImage {
  readonly name: string;
  readonly target: Descriptor;
  /**
   * Digests of the image configs, one for each platform: what `kiln images` shows as the image ID.
   */
  readonly configs: readonly Digest[];
  /** When the name first stood for these documents: milliseconds since 1970. */
  readonly created: number;
}
