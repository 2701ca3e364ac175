import type { Digest } from '../../base/digest.ts';
import type { Descriptor } from '../../base/oci.ts';
import { formatReference, type Reference } from '../../base/reference.ts';
import { imageResponse, packedImage } from '../../exporter/assembling.ts';
import { ByteSum } from '../../exporter/byte-sum.ts';
import { reported } from '../../exporter/export-report.ts';
import type { Exporter } from '../../exporter/exporter.ts';
import { putDocuments, storedNames, storeImage } from '../../exporter/image-store.ts';
import type { ImageNaming, ImageOptions } from '../../exporter/output-spec.ts';
import { PushAhead, type PushAheadOptions } from '../../exporter/push-ahead.ts';
import { failMissing, type PushBlob, pushImage, storedImage } from '../../exporter/push-image.ts';
import type { BuiltTarget } from '../../exporter/target.ts';
import { RegistryClient, type RegistryOptions, type Repository } from '../../registry/client.ts';
import type { Engine } from '../engine.ts';

/**
 * Opens the blobs of layers that are not in the store. The push first tries to mount such a blob
 * from the repository of its cache or base image. When the target registry cannot mount it, its
 * bytes are streamed from registry to registry. From an OCI layout they go through the store.
 */
function elsewhereBlob(
  engine: Engine,
  client: RegistryClient,
  targets: readonly BuiltTarget[],
  signal: AbortSignal,
): (blob: Descriptor) => PushBlob {
  return (descriptor) => {
    const elsewhere = targets.find((target) =>
      target.elsewhere?.layers.some((layer) => layer.descriptor.digest === descriptor.digest),
    )?.elsewhere;
    if (!elsewhere) return failMissing(descriptor);
    const { origin } = elsewhere;
    return {
      descriptor,
      async *open(start = 0, end = descriptor.size) {
        if (origin.kind === 'registry' && engine.content.size(descriptor.digest) === undefined) {
          return yield* client.openBlob(origin.repository, descriptor, signal, start, end);
        }
        await elsewhere.fetch(descriptor, signal);
        yield* engine.content.open(descriptor.digest, start, end);
      },
    };
  };
}

/**
 * The repositories that have a blob, so that the push can mount it from there. They are those of
 * imported caches and of base images.
 */
function locator(targets: readonly BuiltTarget[]): (digest: Digest) => readonly Repository[] {
  return (digest) => {
    const bases = targets.flatMap(({ knownIn }) => knownIn?.get(digest) ?? []);
    const caches = targets.flatMap(({ elsewhere }) =>
      elsewhere?.origin.kind === 'registry' &&
      elsewhere.layers.some(({ descriptor }) => descriptor.digest === digest)
        ? [elsewhere.origin.repository]
        : [],
    );
    const distinct = new Map(
      [...bases, ...caches].map((repository) => [
        `${repository.domain}/${repository.path}`,
        repository,
      ]),
    );
    return [...distinct.values()];
  };
}

interface PushSpec extends ImageNaming {
  readonly image: ImageOptions;
}

/** Sends layers to the repository of the first name before the image is complete. */
function aheadOf(
  { content }: Engine,
  client: RegistryClient,
  [first]: readonly Reference[],
  options: PushAheadOptions,
): PushAhead | undefined {
  return first && new PushAhead(client, first, content, options);
}

/**
 * The exporter for `type=image,push=true` and `type=registry`. It pushes the image with compressed
 * layers to the registry of each of its names. With `store`, the local store gets the image, too.
 */
export function pushExporter(
  engine: Engine,
  registry: RegistryOptions,
  { image: options, store, canonical, byDigest }: PushSpec,
): Exporter {
  const name = 'exporting to image';
  return {
    name,
    export: (targets, context) =>
      reported(name, context, async (report) => {
        await using client = new RegistryClient(registry);
        const locations = engine.locations();
        const knownIn = locator(targets);
        let tell: ((current: number, total: number) => void) | undefined;
        const pushed = new ByteSum((current, total) => tell?.(current, total));
        await using ahead = aheadOf(engine, client, options.names, {
          signal: context.signal,
          locations,
          knownIn,
          report: (status) => pushed.set(status.id, status.current, status.total),
        });
        const image = await packedImage(
          engine,
          options,
          targets,
          context,
          options.ociTypes ?? true,
          report,
          ahead,
        );
        const naming = { canonical, byDigest };
        if (store)
          await storeImage(engine, image, storedNames(options.names, image.target.digest, naming));
        else await putDocuments(engine.content, image);
        const missing = elsewhereBlob(engine, client, targets, context.signal);
        const stored = storedImage(engine.content, image.target, missing);
        const blobs = stored.blobs.map((blob) => ({
          ...blob,
          knownIn: knownIn(blob.descriptor.digest),
        }));
        for (const { descriptor } of blobs) pushed.expect(descriptor.digest, descriptor.size);
        await report.task('pushing layers', (progress) => {
          tell = progress;
          return pushImage(client, { ...stored, blobs }, options.names, {
            signal: context.signal,
            byDigest,
            locations,
            ahead,
            report: ({ id, current, total }) => pushed.set(id, current, total),
          });
        });
        for (const full of options.names)
          report.done(`pushing manifest for ${formatReference(full)}@${image.target.digest}`);
        return imageResponse(image, options.names);
      }),
  };
}
