import { formatReference, type Reference } from '../base/reference.ts';
import { ByteSum } from './byte-sum.ts';
import type { Report } from './export-report.ts';
import type { ExportContext, ExportResponse } from './exporter.ts';
import { type AssembledImage, assemble } from './image.ts';
import { layoutIndex } from './layout.ts';
import type { ImageOptions } from './output-spec.ts';
import {
  type BlobWatcher,
  clampOf,
  type LayerMoved,
  type NameLayer,
  packedParts,
  wantedForm,
} from './parts.ts';
import type { ExportServices } from './services.ts';
import type { BuiltTarget } from './target.ts';

/** Assembles an image, and reports the progress that buildx shows. */
export async function assembledImage(
  targets: readonly BuiltTarget[],
  context: ExportContext,
  report: Report,
  options: {
    readonly image: ImageOptions;
    readonly ociTypes: boolean;
    /** Names a layer. `moved` is to be told of work on its bytes. */
    readonly part: (moved: LayerMoved) => NameLayer;
  },
): Promise<AssembledImage> {
  const image = await report.task('exporting layers', (progress) => {
    const sum = new ByteSum(progress);
    const part = options.part((layer, bytes, total) => sum.set(layer, bytes, total));
    return assemble(targets, { ...options, part, epoch: context.epoch, attest: context.attest });
  });
  for (const { descriptor, config } of image.manifests) {
    report.done(`exporting manifest ${descriptor.digest}`);
    report.done(`exporting config ${config.digest}`);
    for (const { digest, annotations } of image.attestations)
      if (annotations?.[SUBJECT] === descriptor.digest)
        report.done(`exporting attestation manifest ${digest}`);
  }
  if (image.manifests[0]?.descriptor.digest !== image.target.digest)
    report.done(`exporting manifest list ${image.target.digest}`);
  context.assembled?.(image);
  return image;
}

/** The annotation of the manifest of attestations that names the manifest of their image. */
const SUBJECT = 'vnd.docker.reference.digest';

/** Like `assembledImage`, with a blob in the content store for every layer. */
export function packedImage(
  services: ExportServices,
  image: ImageOptions,
  targets: readonly BuiltTarget[],
  context: ExportContext,
  wantsOci: boolean,
  report: Report,
  watcher?: BlobWatcher,
): Promise<AssembledImage> {
  const ociTypes = usesOciTypes(wantsOci, context);
  const part = (moved: LayerMoved) =>
    packedParts(
      {
        ...services,
        moved,
        ociTypes,
        signal: context.signal,
        clamp: clampOf(image, context.epoch),
        marksClamp: image.marksRewritten,
        watcher,
      },
      wantedForm(image, context.epoch),
    );
  return assembledImage(targets, context, report, { image, ociTypes, part });
}

/**
 * An attestation manifest has OCI types, and the types of one index are either all OCI's or all
 * Docker's.
 */
export function usesOciTypes(wanted: boolean, { attest }: ExportContext): boolean {
  return wanted || attest !== undefined;
}

/**
 * The entries that an exporter of an image adds to `--metadata-file`, under BuildKit's names.
 * `time`, in milliseconds since 1970, dates the descriptor of an archive.
 */
export function imageResponse(
  image: AssembledImage,
  names: readonly Reference[],
  time?: number,
): ExportResponse {
  const [first] = image.manifests;
  const single = first?.descriptor.digest === image.target.digest;
  return {
    'containerimage.digest': image.target.digest,
    ...(single && first ? { 'containerimage.config.digest': first.config.digest } : {}),
    'containerimage.descriptor':
      time === undefined ? image.target : layoutIndex(image.target, [], time)[0],
    ...(names.length > 0 ? { 'image.name': names.map(formatReference).join(',') } : {}),
  };
}
