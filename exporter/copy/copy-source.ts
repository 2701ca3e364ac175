import { createHash } from 'node:crypto';
import { contentMismatch } from '../../base/content-mismatch.ts';
import { asDigest, type Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { Descriptor } from '../../base/oci.ts';
import { parseDocument } from '../../registry/parse-document.ts';
import type { PushBlob, PushDocument, PushImage } from '../push-image.ts';

/**
 * A place that has an image: a repository of a registry, a layout, an archive, the store. All
 * content that it returns is verified.
 */
export interface CopySource extends AsyncDisposable {
  /** The name of the source, for messages. */
  readonly name: string;
  /** The document that the name means. */
  readonly target: Descriptor;
  /** A manifest or index. */
  document(descriptor: Descriptor): Promise<Uint8Array>;
  /** A blob. It is read when it is needed. */
  blob(descriptor: Descriptor): PushBlob;
}

const MAX_NESTING = 3;

/**
 * Everything that `target` names in `source`: every platform with its attestations, byte for byte.
 * Documents are read now, and blobs only when the destination lacks them. Throws the error of the
 * source for a missing part.
 */
export async function readTree(
  source: CopySource,
  target: Descriptor = source.target,
): Promise<PushImage> {
  const blobs = new Map<Digest, PushBlob>();
  const children = new Map<Digest, PushDocument>();
  const visit = async (descriptor: Descriptor, depth: number): Promise<PushDocument> => {
    if (depth > MAX_NESTING)
      throw new KilnError(
        'KILN_MANIFEST_INVALID',
        `${source.name} has indexes nested more than ${MAX_NESTING} deep`,
      );
    const bytes = await source.document(descriptor);
    const parsed = parseDocument(
      bytes,
      descriptor.mediaType,
      `manifest ${descriptor.digest} of ${source.name}`,
    );
    if (parsed.kind === 'index') {
      const found = await Promise.all(
        parsed.index.manifests.map((child) => visit(child, depth + 1)),
      );
      // Children come first, also for an index inside an index.
      for (const child of found) children.set(child.digest, child);
    } else {
      for (const part of [parsed.manifest.config, ...parsed.manifest.layers])
        if (!blobs.has(part.digest)) blobs.set(part.digest, source.blob(part));
    }
    return { mediaType: descriptor.mediaType, digest: descriptor.digest, bytes };
  };
  const root = await visit(target, 0);
  children.delete(root.digest);
  return { root, children: [...children.values()], blobs: [...blobs.values()] };
}

/** Passes `bytes` on, and ends in an error when they do not match `descriptor`. */
export async function* verified(
  descriptor: Descriptor,
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of bytes) {
    hash.update(chunk);
    size += chunk.length;
    yield chunk;
  }
  const came = { digest: asDigest(`sha256:${hash.digest('hex')}`), size };
  if (contentMismatch(descriptor, came) === undefined) return;
  throw new KilnError(
    'KILN_DIGEST_MISMATCH',
    `blob ${descriptor.digest} arrived with bytes that do not match its digest`,
    {
      hint: 'the source, or a proxy on the way, sends damaged data',
    },
  );
}
