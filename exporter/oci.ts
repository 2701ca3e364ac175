import { writeArchive } from './archive.ts';
import { imageResponse, packedImage } from './assembling.ts';
import { writeTo } from './destination.ts';
import { reported } from './export-report.ts';
import type { ExportContext, Exporter } from './exporter.ts';
import { severalPlatforms } from './image-errors.ts';
import { dockerManifest, layoutEntries, layoutIndex, writeLayoutBlobs } from './layout.ts';
import { writeLayoutDirectory } from './layout-directory.ts';
import type { Destination, ImageOptions, OutputSpec } from './output-spec.ts';
import type { ExportServices } from './services.ts';

/**
 * `type=oci`: an OCI image layout as an archive, or with `tar=false` as a directory or as blobs for
 * a store of the caller. The default media types are OCI's.
 */
export function ociExporter(
  services: ExportServices,
  spec: OutputSpec<Destination> & { readonly type: 'oci' },
): Exporter {
  const name = 'exporting to oci image format';
  const { names } = spec.image;
  return {
    name,
    export: (targets, context) =>
      reported(name, context, async (report) => {
        const image = await packedImage(
          services,
          spec.image,
          targets,
          context,
          spec.image.ociTypes ?? true,
          report,
        );
        const index = layoutIndex(image.target, names, timeOf(context.epoch));
        const entries = layoutEntries(image, index);
        const response = imageResponse(image, names, timeOf(context.epoch));
        if (spec.tar) {
          if (spec.destination.kind === 'stream') spec.destination.about?.(response);
          await report.task('sending tarball', (progress) =>
            writeTo(spec.destination, context.signal, (sink) =>
              writeArchive(entries, services.content, sink, progress),
            ),
          );
        } else if (context.layout) {
          const { layout, signal } = context;
          await report.task('sending blobs', () =>
            writeLayoutBlobs(entries, services.content, layout, signal),
          );
        } else {
          await report.task(`writing ${spec.directory}`, () =>
            writeLayoutDirectory(spec.directory, entries, index, services.content, context.signal),
          );
        }
        return response;
      }),
  };
}

export interface DockerSpec {
  readonly image: ImageOptions;
  readonly destination: Destination;
}

/**
 * `type=docker`: an archive that `docker load` reads, and which is also an OCI image layout. The
 * default media types are OCI's. It holds one platform only, because the format has no index.
 */
export function dockerExporter(
  services: ExportServices,
  { image: options, destination }: DockerSpec,
): Exporter {
  const name = 'exporting to docker image format';
  return {
    name,
    export: (targets, context) =>
      reported(name, context, async (report) => {
        if (targets.length > 1 || options.alwaysIndex) throw severalPlatforms();
        const plain = withoutAttestations(context);
        const ociTypes = options.ociTypes ?? true;
        if (options.compression === 'zstd') tellZstd(context);
        const image = await packedImage(services, options, targets, plain, ociTypes, report);
        const index = layoutIndex(image.target, options.names, timeOf(context.epoch));
        const manifests = image.manifests.map(({ config, layers }) =>
          dockerManifest(config, layers, options.names),
        );
        const entries = [...layoutEntries(image, index), ...manifests];
        const response = imageResponse(image, options.names, timeOf(context.epoch));
        if (destination.kind === 'stream') destination.about?.(response);
        await report.task('sending tarball', (progress) =>
          writeTo(destination, context.signal, (sink) =>
            writeArchive(entries, services.content, sink, progress),
          ),
        );
        return response;
      }),
  };
}

/** The format cannot hold attestations. */
function withoutAttestations({ attest, ...context }: ExportContext): ExportContext {
  if (attest)
    context.progress({
      kind: 'warning',
      short: 'an archive for docker load cannot hold attestations',
      detail: ['use --output type=oci, or push to a registry'],
    });
  return context;
}

/** Docker's own image format knows gzip only, and who reads it may not know more. */
function tellZstd({ progress }: ExportContext): void {
  progress({
    kind: 'warning',
    short: 'older engines of Docker, and other tools that read its archives, refuse zstd layers',
    detail: ['use compression=gzip if they have to load the archive'],
  });
}

/** The time of an export, in milliseconds since 1970. */
function timeOf(epoch: number | undefined): number {
  return epoch === undefined ? Date.now() : epoch * 1000;
}
