import { withSoundBlobs } from '../../exporter/again.ts';
import type { AttestOptions, Attestor } from '../../exporter/attest/attestation.ts';
import type { Exporter, ExportResponse } from '../../exporter/exporter.ts';
import type { AssembledImage } from '../../exporter/image.ts';
import { imageStoreExporter } from '../../exporter/image-store.ts';
import type { Destination, OutputSpec as ExportSpec } from '../../exporter/output-spec.ts';
import type { RegistryOptions } from '../../registry/client.ts';
import { trusting } from '../../registry/trusted-hosts.ts';
import { storeFailure } from '../../snapshotter/store/store-errors.ts';
import type { Engine } from '../engine.ts';
import type { Session } from '../session.ts';
import type { SolvedBuild } from '../solve-build.ts';
import { originOf } from './origin.ts';
import type { Outcomes } from './outcomes.ts';
import { layoutIn, noCallerOutput } from './try-outputs.ts';

/**
 * True for an output that needs no layers on this host. That is a push that keeps their
 * compression: it can refer to layers that are already in a registry.
 */
export function needsNoLayers(spec: ExportSpec): boolean {
  if (spec.type !== 'image' || !spec.push || spec.store) return false;
  return spec.image.compression === undefined && !spec.image.forceCompression;
}

/**
 * Writes the outputs of the request, one after the other, and returns the merged responses of their
 * exporters. An output that fails does not stop the others: `outcomes` records the outcome of each.
 * Throws only when the build has been cancelled. `assembled` is told of the image of each output
 * that makes one.
 */
export async function exportBuild(
  { context, targets, attest, registry }: SolvedBuild,
  outcomes: Outcomes,
  assembled?: (image: AssembledImage, output: number) => void,
): Promise<ExportResponse> {
  const { request, engine, session, progress, signal } = context;
  const { epoch } = request;
  const response: Record<string, unknown> = {};
  for (const [output, asked] of request.outputs.entries()) {
    try {
      const spec = writable(asked, session, signal);
      const exporter = await exporterFor(spec, engine, registry);
      const shown = attestorOf(spec.type, request.attest, attest);
      const tell = assembled && ((image: AssembledImage) => assembled(image, output));
      const given = {
        signal,
        progress,
        layout: layoutIn(asked, session),
        epoch: asked.epoch === undefined ? epoch : (asked.epoch ?? undefined),
        attest: shown,
        assembled: tell,
        origin: () => originOf(request, session),
      };
      const work = () => exporter.export(targets, given);
      Object.assign(response, await (writesOnce(spec) ? work() : withSoundBlobs(work)));
      outcomes.done(displayName(asked));
    } catch (error) {
      if (signal.aborted) throw error;
      outcomes.failed(displayName(asked), storeFailure(error, engine.store.root));
    }
  }
  return response;
}

/**
 * What is attested in an output of `type`. Provenance that is `inline-only` belongs in images, not
 * beside files, and an archive for Docker has no place for it.
 */
function attestorOf(
  type: ExportSpec['type'],
  { provenance, sbom }: AttestOptions,
  attest: Attestor | undefined,
): Attestor | undefined {
  if (!attest || !provenance?.inlineOnly || type === 'image' || type === 'oci') return attest;
  if (!sbom) return undefined;
  return async (target) => (await attest(target)).filter(({ inlineOnly }) => !inlineOnly);
}

/** The name of an output in messages. */
function displayName(spec: ExportSpec): string {
  if ('directory' in spec) return `type=${spec.type},dest=${spec.directory}`;
  if (spec.type === 'image') return spec.push ? 'the push' : 'the image in the store';
  const { destination } = spec;
  return destination?.kind === 'file'
    ? `type=${spec.type},dest=${destination.path}`
    : `type=${spec.type}`;
}

/** True for an output to a stream: bytes that were written to it cannot be taken back. */
function writesOnce(spec: ExportSpec<Destination>): boolean {
  return (
    'destination' in spec && spec.destination !== undefined && spec.destination.kind !== 'file'
  );
}

/** An output with what the session lends in the place of its name. */
function writable(
  spec: ExportSpec,
  { output }: Session,
  signal: AbortSignal,
): ExportSpec<Destination> {
  if (!('destination' in spec)) return spec;
  const { destination: place } = spec;
  if (place?.kind !== 'lent') return { ...spec, destination: place } as ExportSpec<Destination>;
  if (!output) throw noCallerOutput(spec.type);
  let told: ExportResponse = {};
  const about = (image: ExportResponse) => {
    told = image;
  };
  const write = (bytes: Uint8Array) => output(bytes, signal, place.name, told);
  return { ...spec, destination: { kind: 'stream', write, about } };
}

/** Loads each exporter only when it is used. Most builds use only that of the local store. */
async function exporterFor(
  spec: ExportSpec<Destination>,
  engine: Engine,
  registry: RegistryOptions,
): Promise<Exporter> {
  switch (spec.type) {
    case 'image':
      return spec.push
        ? (await import('./push-exporter.ts')).pushExporter(
            engine,
            registryFor(spec, registry),
            spec,
          )
        : imageStoreExporter(engine, spec);
    case 'oci':
      return (await import('../../exporter/oci.ts')).ociExporter(engine, spec);
    case 'docker': {
      if (!spec.destination)
        return (await import('./docker-engine.ts')).engineExporter(engine, spec.image);
      const { dockerExporter } = await import('../../exporter/oci.ts');
      return dockerExporter(engine, { image: spec.image, destination: spec.destination });
    }
    case 'tar':
      return (await import('../../exporter/tar.ts')).tarExporter(engine, spec);
    case 'local':
      return (await import('../../exporter/local.ts')).localExporter(engine, spec);
  }
}

/** How registries are reached for an output. */
function registryFor(
  { insecure, image }: Extract<ExportSpec, { type: 'image' }>,
  registry: RegistryOptions,
): RegistryOptions {
  if (!insecure) return registry;
  return trusting(registry, new Set(image.names.map(({ domain }) => domain)));
}
