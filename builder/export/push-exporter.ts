import type { Descriptor } from '../../base/oci.ts';
import { formatReference } from '../../base/reference.ts';
import { imageResponse, packedImage } from '../../exporter/assembling.ts';
import { reported } from '../../exporter/export-report.ts';
import type { Exporter } from '../../exporter/exporter.ts';
import { nameImage, putDocuments, storedNames } from '../../exporter/image-store.ts';
import type { ImageNaming, ImageOptions } from '../../exporter/output-spec.ts';
import { failMissing, type PushBlob, pushImage, storedImage } from '../../exporter/push-image.ts';
import type { BuiltTarget } from '../../exporter/target.ts';
import { RegistryClient, type RegistryOptions } from '../../registry/client.ts';
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
 * Adds to each blob the repositories that have it, so that the push can mount it from there. They
 * are the repositories of imported caches and of base images.
 */
function locatedBlobs(blobs: readonly PushBlob[], targets: readonly BuiltTarget[]): PushBlob[] {
  const ofCaches = targets.flatMap(({ elsewhere }) =>
    elsewhere?.origin.kind === 'registry'
      ? [{ layers: elsewhere.layers, repository: elsewhere.origin.repository }]
      : [],
  );
  return blobs.map((blob) => {
    const { digest } = blob.descriptor;
    const bases = targets.flatMap(({ knownIn }) => knownIn?.get(digest) ?? []);
    const caches = ofCaches.flatMap(({ layers, repository }) =>
      layers.some(({ descriptor }) => descriptor.digest === digest) ? [repository] : [],
    );
    const all = [...(blob.knownIn ?? []), ...bases, ...caches];
    const distinct = new Map(
      all.map((repository) => [`${repository.domain}/${repository.path}`, repository]),
    );
    return { ...blob, knownIn: [...distinct.values()] };
  });
}

interface PushSpec extends ImageNaming {
  readonly image: ImageOptions;
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
        const image = await packedImage(
          engine,
          options,
          targets,
          context,
          options.ociTypes ?? true,
          report,
        );
        putDocuments(engine.content, image);
        if (store) {
          const naming = { canonical, byDigest };
          nameImage(engine.images, storedNames(options.names, image.target.digest, naming), image);
        }
        await using client = new RegistryClient(registry);
        const missing = elsewhereBlob(engine, client, targets, context.signal);
        const stored = storedImage(engine.content, image.target, missing);
        const parts = { ...stored, blobs: locatedBlobs(stored.blobs, targets) };
        await report.task('pushing layers', () =>
          pushImage(client, parts, options.names, {
            signal: context.signal,
            byDigest,
            locations: engine.locations(),
          }),
        );
        for (const full of options.names)
          report.done(`pushing manifest for ${formatReference(full)}@${image.target.digest}`);
        return imageResponse(image, options.names);
      }),
  };
}
