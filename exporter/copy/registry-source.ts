import { KilnError } from '../../base/errors.ts';
import type { Descriptor } from '../../base/oci.ts';
import { formatReference, type Reference, wantedOf } from '../../base/reference.ts';
import type { FetchedDocument, RegistryClient } from '../../registry/client.ts';
import type { CopySource } from './copy-source.ts';

/**
 * An image in a registry. Its blobs are streamed from there when a copy needs their bytes, and
 * mounted when the destination is the same registry.
 */
export async function registrySource(
  client: RegistryClient,
  reference: Reference,
  signal: AbortSignal,
): Promise<CopySource> {
  const { domain, path } = reference;
  const repository = { domain, path };
  const name = formatReference(reference);
  const root = await client.manifest(repository, wantedOf(reference), signal);
  const target = { mediaType: root.mediaType, digest: root.digest, size: root.bytes.length };
  return {
    name,
    target,
    async document(descriptor) {
      const found =
        descriptor.digest === root.digest
          ? root
          : await client.manifest(repository, descriptor.digest, signal);
      return checked(found, descriptor, name);
    },
    blob: (descriptor) => ({
      descriptor,
      knownIn: [repository],
      open(start = 0, end = descriptor.size) {
        return client.openBlob(repository, descriptor, signal, start, end);
      },
    }),
    async [Symbol.asyncDispose]() {},
  };
}

/** The digest is right. The size and media type in the index have to be right, too. */
function checked(found: FetchedDocument, descriptor: Descriptor, name: string): Uint8Array {
  if (found.mediaType === descriptor.mediaType && found.bytes.length === descriptor.size)
    return found.bytes;
  throw new KilnError(
    'KILN_MANIFEST_INVALID',
    `manifest ${descriptor.digest} of ${name} has ${found.bytes.length} bytes of type ` +
      `${found.mediaType}, but its index says ${descriptor.size} bytes of type ` +
      `${descriptor.mediaType}`,
  );
}
