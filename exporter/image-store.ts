import type { Digest } from '../base/digest.ts';
import { formatReference, type Reference, repositoryOf } from '../base/reference.ts';
import type { ContentStore } from '../snapshotter/content.ts';
import { assembledImage, imageResponse, packedImage, usesOciTypes } from './assembling.ts';
import { reported } from './export-report.ts';
import type { Exporter } from './exporter.ts';
import type { AssembledImage } from './image.ts';
import type { ImageNaming, ImageOptions } from './output-spec.ts';
import { clampOf, type LayerMoved, namedParts } from './parts.ts';
import type { ExportServices } from './services.ts';

/**
 * `type=image`: stores the image in the local image store under every name. Layers built here are
 * named by their uncompressed tar, and no blob is written unless a compression was requested.
 */
export function imageStoreExporter(
  services: ExportServices,
  spec: { readonly image: ImageOptions } & Partial<ImageNaming>,
): Exporter {
  const name = 'exporting to image';
  const options = spec.image;
  return {
    name,
    export: (targets, context) =>
      reported(name, context, async (report) => {
        const ociTypes = usesOciTypes(options.ociTypes ?? true, context);
        const packed = options.compression !== undefined || options.forceCompression;
        const part = (moved: LayerMoved) =>
          namedParts({
            ...services,
            moved,
            ociTypes,
            signal: context.signal,
            clamp: clampOf(options, context.epoch),
          });
        const image = packed
          ? await packedImage(services, options, targets, context, ociTypes, report)
          : await assembledImage(targets, context, report, { image: options, ociTypes, part });
        // An image without a name is stored under its digest, so that its ID can be used to run and
        // inspect it.
        const named = storedNames(options.names, image.target.digest, spec);
        const names = named.length > 0 ? named : [image.target.digest];
        const origin = named.length > 0 ? undefined : context.origin?.();
        await storeImage(services, image, names, origin);
        for (const full of names) report.done(`naming to ${full}`);
        return imageResponse(image, options.names);
      }),
  };
}

/** The names in the local store: as given, and with the digest where that was requested. */
export function storedNames(
  names: readonly Reference[],
  digest: Digest,
  { canonical, byDigest }: Partial<ImageNaming>,
): string[] {
  const tagged = byDigest ? [] : names.map(formatReference);
  const pinned =
    canonical || byDigest ? names.map((name) => `${repositoryOf(name)}@${digest}`) : [];
  return [...new Set([...tagged, ...pinned])];
}

/**
 * Stores `image` under every one of the names, after its documents. `origin` is for an image
 * without a name. It waits for the disk once.
 */
export async function storeImage(
  { content, images }: Pick<ExportServices, 'content' | 'images'>,
  image: AssembledImage,
  names: readonly string[],
  origin?: string | undefined,
): Promise<void> {
  const { target } = image;
  const configs = image.manifests.map(({ config }) => config.digest);
  const created = Date.now();
  const named = names.map((name) => ({ name, target, configs, created, origin }));
  await Promise.all([putDocuments(content, image), images.prepare?.(...named)]);
  images.put(...named);
}

/**
 * Configs are stored before manifests, and manifests before the index, so that every stored
 * document has everything it names.
 */
export async function putDocuments(content: ContentStore, image: AssembledImage): Promise<void> {
  await content.putAll([...image.documents.values()].map((text) => Buffer.from(text)));
}
