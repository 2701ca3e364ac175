import { KilnError } from '../../base/errors.ts';
import type { Descriptor } from '../../base/oci.ts';
import { presentBlob } from '../save.ts';
import type { ExportServices } from '../services.ts';
import type { CopySource } from './copy-source.ts';

/**
 * An image of the store. A layer that was built here is sent as the uncompressed tar that its
 * manifest names, made when it is needed. When an image was pulled for one platform, the manifests
 * of the others are missing, which is an error.
 */
export function storeSource(
  services: ExportServices,
  target: Descriptor,
  name: string,
  signal: AbortSignal,
): CopySource {
  return {
    name,
    target,
    async document({ digest }) {
      if (services.content.size(digest) !== undefined) return services.content.read(digest);
      throw new KilnError(
        'KILN_BLOB_MISSING',
        `the store does not have all platforms of ${name}: manifest ${digest} is missing`,
        {
          hint: 'copy it from the registry that it was pulled from',
        },
      );
    },
    blob: (descriptor) => ({
      descriptor,
      async *open(start, end) {
        await presentBlob(services, descriptor, { signal });
        yield* services.content.open(descriptor.digest, start, end);
      },
    }),
    async [Symbol.asyncDispose]() {},
  };
}
