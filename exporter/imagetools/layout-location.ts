import { type Digest, digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { type Descriptor, MEDIA } from '../../base/oci.ts';
import type { FetchedDocument } from '../../registry/client.ts';
import { isObject, jsonOf } from '../../registry/json-fields.ts';
import { type Layout, type LayoutReference, openLayout } from '../../registry/layout.ts';
import { MAX_MANIFEST, parseDocument } from '../../registry/parse-document.ts';
import { referrerOf, subjectOf } from '../../registry/referrers.ts';
import { layoutSource } from '../copy/layout-source.ts';
import type { ImageLocation } from './image-location.ts';

/**
 * The annotation of an entry of index.json that refers to another document and is part of no image
 * (as containerd and buildx write it). Its value is the digest of that document.
 */
export const SUBJECT = 'io.containerd.manifest.subject';
/** Nobody has more. A layout could name any number. */
const MOST_DOCUMENTS = 10_000;

/** An image in an OCI layout, at an absolute path. The layout is opened for each question. */
export function layoutLocation(reference: LayoutReference, signal: AbortSignal): ImageLocation {
  const { path, tag, digest } = reference;
  const home = `oci-layout://${path}`;
  const named = tag === undefined ? home : `${home}:${tag}`;
  return {
    name: digest === undefined ? named : `${named}@${digest}`,
    home,
    target: { kind: 'layout', layout: reference },
    nameOf: (other) => `${named}@${other}`,
    at: (other) => layoutLocation({ path, digest: other }, signal),
    async root() {
      using layout = openLayout(path);
      return rootOf(layout, reference);
    },
    async document({ digest: other, mediaType }) {
      using layout = openLayout(path);
      return documentOf(layout, other, mediaType);
    },
    async blob(descriptor, limit) {
      using layout = openLayout(path);
      return layout.read(descriptor, limit);
    },
    async referrers(subject) {
      using layout = openLayout(path);
      return referrersIn(layout, subject);
    },
    async open() {
      using layout = openLayout(path);
      const { mediaType, digest: root, bytes } = rootOf(layout, reference);
      return layoutSource(path, undefined, signal, { mediaType, digest: root, size: bytes.length });
    },
  };
}

/** A digest may also name a part of an image, which index.json does not list. */
function rootOf(layout: Layout, reference: LayoutReference): FetchedDocument {
  const { digest } = reference;
  const isListed = layout.index.manifests.some((entry) => entry.digest === digest);
  if (digest !== undefined && !isListed) return documentOf(layout, digest, undefined);
  const found = layout.find(reference);
  return documentOf(layout, found.digest, found.mediaType);
}

function documentOf(layout: Layout, digest: Digest, given: string | undefined): FetchedDocument {
  const bytes = layout.read({ digest }, MAX_MANIFEST);
  const mediaType = given ?? mediaTypeOf(bytes);
  const where = `manifest ${digest} of ${layout.path}`;
  return {
    digest: digestOf(bytes),
    mediaType,
    bytes,
    document: parseDocument(bytes, mediaType, where),
  };
}

/** The type that a document states, or else that its fields show. */
function mediaTypeOf(bytes: Buffer): string {
  const json = jsonOf(bytes)?.value;
  if (!isObject(json)) return '';
  const { mediaType } = json;
  if (typeof mediaType === 'string') return mediaType;
  return 'manifests' in json ? MEDIA.ociIndex : MEDIA.ociManifest;
}

/**
 * The documents of a layout that refer to `subject`: entries of index.json that say so, and
 * manifests of its images whose `subject` it is.
 */
function referrersIn(layout: Layout, subject: Digest): readonly Descriptor[] {
  const found = new Map<Digest, Descriptor>();
  const seen = new Set<Digest>();
  const visit = (entry: Descriptor): void => {
    if (seen.has(entry.digest)) return;
    if (seen.size >= MOST_DOCUMENTS)
      throw new KilnError(
        'KILN_LAYOUT_INVALID',
        `OCI layout ${layout.path} has more than ${MOST_DOCUMENTS} manifests`,
      );
    seen.add(entry.digest);
    // A copy of some platforms of an image lacks the others.
    if (!layout.has(entry)) return;
    const { bytes, document } = documentOf(layout, entry.digest, entry.mediaType);
    if (document.kind === 'index') for (const child of document.index.manifests) visit(child);
    if (subjectOf(bytes) === subject || entry.annotations?.[SUBJECT] === subject)
      found.set(entry.digest, referrerOf(bytes, entry.mediaType));
  };
  for (const entry of layout.index.manifests) visit(entry);
  return [...found.values()];
}
