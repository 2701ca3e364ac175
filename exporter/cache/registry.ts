import type { Digest } from '../../base/digest.ts';
import { formatReference, type Reference } from '../../base/reference.ts';
import type { RemoteLayer } from '../../cache/remote/record.ts';
import { readCache } from '../../cache/remote/source.ts';
import type { RegistryClient } from '../../registry/client.ts';
import { type PushBlob, pushImage } from '../push-image.ts';
import { blobsOf, type CacheTarget, oldCache } from './target.ts';

/**
 * A cache under a tag of a registry. `blob` describes how to send a layer that the registry does
 * not have.
 */
export function registryTarget(
  client: RegistryClient,
  reference: Reference,
  blob: (layer: RemoteLayer) => PushBlob,
  signal: AbortSignal,
): CacheTarget {
  const name = formatReference(reference);
  const tag = reference.tag ?? 'latest';
  const current = async () => (await client.head(reference, tag, signal))?.digest;
  let seen: Digest | undefined;
  return {
    name,
    keepsBlobs: true,
    async old() {
      seen = await current();
      return (
        seen &&
        (await oldCache(() =>
          readCache({ type: 'registry', ref: reference }, async () => client, signal),
        ))
      );
    },
    async write({ config, manifest }, layers, old, report) {
      const there = blobsOf(old);
      const missing = layers.filter(({ descriptor }) => !there.has(descriptor.digest));
      const configBlob: PushBlob = {
        descriptor: config.descriptor,
        open: async function* (start = 0, end = config.bytes.byteLength) {
          yield config.bytes.subarray(start, end);
        },
      };
      const image = { root: manifest, children: [], blobs: [...missing.map(blob), configBlob] };
      await pushImage(client, image, [reference], {
        signal,
        byDigest: true,
        report: ({ id, outcome }) => {
          if (outcome && missing.some(({ descriptor }) => descriptor.digest === id))
            report.done(`writing layer ${id}`);
        },
      });
      report.done(`writing config ${config.descriptor.digest}`);
      // A registry cannot change a tag conditionally. Checking here keeps the time in which another
      // build's write can be lost as short as possible.
      if ((await current()) !== seen) return false;
      await client.putManifest(reference, tag, manifest.mediaType, manifest.bytes, signal);
      return true;
    },
  };
}
