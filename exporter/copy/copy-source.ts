import { createHash } from 'node:crypto';
import { asDigest, type Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { Descriptor } from '../../base/oci.ts';
import { brokenPromise } from '../../base/promise.ts';
import { parseDocument } from '../../registry/parse-document.ts';
import type { PushBlob, PushDocument, PushImage } from '../push-image.ts';

/** A place that has an image: a repository of a registry, a layout, an archive, the store. Everything it hands out is verified. */
export interface CopySource extends AsyncDisposable {
  /** For messages. */
  readonly name: string;
  /** What the name stands for. */
  readonly target: Descriptor;
  /** A manifest or index. */
  document(descriptor: Descriptor): Promise<Uint8Array>;
  /** A blob that is read when it is needed. */
  blob(descriptor: Descriptor): PushBlob;
}

const MAX_NESTING = 3;

/**
 * All that hangs from `target` in `source`: every platform, with its attestations, byte for byte. Documents are read now, blobs when
 * the other side turns out to lack them. Throws what the source throws for a part that it lacks.
 */
export async function readTree(source: CopySource, target: Descriptor = source.target): Promise<PushImage> {
  const blobs = new Map<Digest, PushBlob>();
  const children = new Map<Digest, PushDocument>();
  const visit = async (descriptor: Descriptor, depth: number): Promise<PushDocument> => {
    if (depth > MAX_NESTING)
      throw new KilnError('KILN_MANIFEST_INVALID', `${source.name} has indexes in indexes, more than ${MAX_NESTING} deep`);
    const bytes = await source.document(descriptor);
    const parsed = parseDocument(bytes, descriptor.mediaType, `manifest ${descriptor.digest} of ${source.name}`);
    if (parsed.kind === 'index') {
      const found = await Promise.all(parsed.index.manifests.map((child) => visit(child, depth + 1)));
      // After what it names: manifests of an index inside an index go first.
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

/** `bytes` with an error at their end when they are not what `descriptor` says. */
export async function* verified(descriptor: Descriptor, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of bytes) {
    hash.update(chunk);
    size += chunk.length;
    yield chunk;
  }
  const came = { digest: asDigest(`sha256:${hash.digest('hex')}`), size };
  if (brokenPromise(descriptor, came) === undefined) return;
  throw new KilnError('KILN_DIGEST_MISMATCH', `blob ${descriptor.digest} came with other bytes than its digest says`, {
    hint: 'the place it was copied from, or something between, damages what it sends',
  });
}
