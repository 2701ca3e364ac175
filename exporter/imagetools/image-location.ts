import type { Digest } from '../../base/digest.ts';
import type { Descriptor } from '../../base/oci.ts';
import type { Reference } from '../../base/reference.ts';
import type { FetchedDocument } from '../../registry/client.ts';
import type { LayoutReference } from '../../registry/layout.ts';
import type { CopySource } from '../copy/copy-source.ts';

/** What the name of an image in a registry or in an OCI layout stands for. Reads when asked. */
export interface ImageLocation {
  /** The name in full. */
  readonly name: string;
  /** The place of its documents and blobs: equal for all images of a repository or a layout. */
  readonly home: string;
  /** Where a new image of this name would be written. */
  readonly target:
    | { readonly kind: 'registry'; readonly reference: Reference }
    | { readonly kind: 'layout'; readonly layout: LayoutReference };
  /** The name of another document in the same place. */
  nameOf(digest: Digest): string;
  /** The location of another document in the same place. */
  at(digest: Digest): ImageLocation;
  /** The document that the name means, verified. Throws KILN_IMAGE_NOT_FOUND. */
  root(): Promise<FetchedDocument>;
  /** Another document of the same place, verified. */
  document(descriptor: Pick<Descriptor, 'digest' | 'mediaType'>): Promise<FetchedDocument>;
  /** A blob of at most `limit` bytes, verified. */
  blob(descriptor: Descriptor, limit: number): Promise<Buffer>;
  /** The documents of the same place that name `subject` as their subject. */
  referrers(subject: Digest): Promise<readonly Descriptor[]>;
  /** The image with all its parts, to be copied. */
  open(): Promise<CopySource>;
}
