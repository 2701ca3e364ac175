import type { Digest } from '../base/digest.ts';
import { parseReference, repositoryOf } from '../base/reference.ts';
import type { ContentStore } from '../snapshotter/content.ts';
import { assembledImage, imageResponse, packedImage, usesOciTypes } from './assembling.ts';
import { reported } from './export-report.ts';
import type { Exporter } from './exporter.ts';
import type { AssembledImage } from './image.ts';
import type { ImageNaming, ImageOptions } from './output-spec.ts';
import { clampOf, namedParts } from './parts.ts';
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
        const part = namedParts({
          ...services,
          ociTypes,
          signal: context.signal,
          clamp: clampOf(options, context.epoch),
        });
        const image = packed
          ? await packedImage(services, options, targets, context, ociTypes, report)
          : await assembledImage(targets, context, report, { image: options, ociTypes, part });
        putDocuments(services.content, image);
        const configs = image.manifests.map(({ config }) => config.digest);
        // An image without a name is stored under its digest, so that its ID can be used to run and
        // inspect it.
        const named = storedNames(options.names, image.target.digest, spec);
        const names = named.length > 0 ? named : [image.target.digest];
        for (const full of names) {
          services.images.put({ name: full, target: image.target, configs, created: Date.now() });
          report.done(`naming to ${full}`);
        }
        return imageResponse(image, options.names);
      }),
  };
}

/** The names in the local store: as given, and with the digest where that was requested. */
export function storedNames(
  names: readonly string[],
  digest: Digest,
  { canonical, byDigest }: Partial<ImageNaming>,
): string[] {
  const tagged = byDigest ? [] : names;
  const pinned =
    canonical || byDigest
      ? names.map((name) => `${repositoryOf(parseReference(name))}@${digest}`)
      : [];
  return [...new Set([...tagged, ...pinned])];
}

/**
 * Configs are stored before manifests, and manifests before the index, so that every stored
 * document has everything it names.
 */
export function putDocuments(content: ContentStore, image: AssembledImage): void {
  for (const text of image.documents.values()) content.put(Buffer.from(text));
}
