import type { Digest } from '../base/digest.ts';
import type { Descriptor } from '../base/oci.ts';

/**
 * The local image store: names to descriptors of manifests or indexes, whose documents are in the
 * content store. Names are kept in their full form (`docker.io/library/busybox:latest`, see
 * base/reference.ts). A layer that was built here may not have a blob yet: the manifest then names
 * its uncompressed form, and `layers` maps each diffID to the committed layer.
 */
export interface ImageStore {
  get(name: string): StoredImage | undefined;
  list(): readonly StoredImage[];
  /**
   * Creates or moves names: all of them in one transaction, so that a crash leaves either all or
   * none. A name that already stands for the same documents is not changed, unless another image of
   * its origin has come after it.
   */
  put(...images: readonly StoredImage[]): void;
  /**
   * Does beforehand what `put` of the same images waits for, if nothing else changes meanwhile.
   * Changes no name.
   */
  prepare?(...images: readonly StoredImage[]): Promise<void>;
  /** Returns false when the name did not exist. */
  remove(name: string): boolean;
}

/**
 * An image store whose names survive the loss of its table: a copy of them is kept beside it, from
 * which a lost table is filled.
 */
export interface MirroredImages extends ImageStore {
  /** True when the copy says the same as the table. */
  isMirrored(): boolean;
  /** Writes the copy again. */
  mirror(): void;
}

export interface StoredImage {
  readonly name: string;
  readonly target: Descriptor;
  /**
   * The digests of the image configs, one for each platform, which `kiln images` shows as image
   * IDs.
   */
  readonly configs: readonly Digest[];
  /** When the name first stood for these documents, in milliseconds since 1970. */
  readonly created: number;
  /**
   * What an image without a name was built from. A later image of the same origin replaces it: the
   * next collection removes it.
   */
  readonly origin?: string | undefined;
}
