import { KilnError } from '../../base/errors.ts';
import { withSoundBlobs } from '../../exporter/again.ts';
import type { Attestor } from '../../exporter/attest/attestation.ts';
import { tryDirectory, tryFile } from '../../exporter/destination.ts';
import type { Exporter, ExportResponse } from '../../exporter/exporter.ts';
import { imageStoreExporter } from '../../exporter/image-store.ts';
import type { OutputSpec as ExportSpec } from '../../exporter/output-spec.ts';
import type { BuiltTarget } from '../../exporter/target.ts';
import { fullDiskError } from '../../snapshotter/store/store-errors.ts';
import type { BuildContext } from '../build-context.ts';
import type { BuildRequest } from '../request.ts';
import type { Session } from '../session.ts';
import type { Fates } from './fates.ts';

/** A push of the layers as they are can do with layers that are in some registry already. */
export function needsNoLayers(spec: ExportSpec): boolean {
  if (spec.type !== 'image' || !spec.push || spec.store) return false;
  return spec.image.compression === undefined && !spec.image.forceCompression;
}

/**
 * Exports the targets as the specs ask, one after the other, and answers what they told, merged.
 * One that fails does not keep the others from being made: `fates` is told what became of each.
 */
export async function exportBuild(
  targets: readonly BuiltTarget[],
  attest: Attestor | undefined,
  context: BuildContext,
  fates: Fates,
): Promise<ExportResponse> {
  const { request, engine, session, progress, signal } = context;
  const { epoch } = request;
  const response: Record<string, unknown> = {};
  for (const asked of request.outputs) {
    const spec = toSession(asked, session, signal);
    try {
      const exporter = await exporterFor(spec, context);
      const work = () => exporter.export(targets, { signal, progress, epoch, attest });
      Object.assign(response, await (writesOnce(spec) ? work() : withSoundBlobs(work)));
      fates.done(shown(spec));
    } catch (error) {
      if (signal.aborted) throw error;
      fates.failed(shown(spec), fullDiskError(error, engine.store.root));
    }
  }
  return response;
}

/** An output as its user knows it. */
function shown(spec: ExportSpec): string {
  if ('directory' in spec) return `type=${spec.type},dest=${spec.directory}`;
  if (spec.type === 'image') return spec.push ? 'the push' : 'the image in the store';
  const { destination } = spec;
  return destination?.kind === 'file'
    ? `type=${spec.type},dest=${destination.path}`
    : `type=${spec.type}`;
}

/** What has been written to a stream cannot be taken back. */
function writesOnce(spec: ExportSpec): boolean {
  return (
    'destination' in spec && spec.destination !== undefined && spec.destination.kind !== 'file'
  );
}

/** What goes to the caller goes where its session says. */
function toSession(spec: ExportSpec, { output }: Session, signal: AbortSignal): ExportSpec {
  if (!output || !('destination' in spec) || spec.destination?.kind !== 'stdout') return spec;
  return {
    ...spec,
    destination: { kind: 'stream', write: (bytes) => output(bytes, signal) },
  } as ExportSpec;
}

/**
 * Every file and directory that the build is to write is tried before it begins: a misspelt one
 * costs no build, and nothing is made.
 */
export function tryOutputs({ outputs, cacheTo }: BuildRequest, session: Session): void {
  for (const output of outputs) {
    if (output.type === 'image' && output.push) mustHaveName(output.image.names);
    if ('directory' in output) tryDirectory({ path: output.directory, flag: '--output' });
    else if ('destination' in output && output.destination?.kind === 'file')
      tryFile({ path: output.destination.path, flag: '--output' });
    else if ('destination' in output && output.destination?.kind === 'stdout' && !session.output)
      throw nowhere(output.type);
  }
  for (const cache of cacheTo)
    if (cache.type === 'local' && !cache.ignoreError)
      tryDirectory({ path: cache.dest, flag: '--cache-to' });
}

function nowhere(type: string): KilnError {
  return new KilnError(
    'KILN_OUTPUT_INVALID',
    `the output of type ${type} goes to the caller, who takes none`,
    {
      place: { kind: 'flag', flag: '--output' },
      hint: 'name a file with dest=, or lend an output with the session',
      exitCode: 2,
    },
  );
}

function mustHaveName(names: readonly string[]): void {
  if (names.length > 0) return;
  throw new KilnError('KILN_OUTPUT_INVALID', 'a push needs a name', {
    place: { kind: 'flag', flag: '--push' },
    hint: 'name the image with -t',
    exitCode: 2,
  });
}

/** Each is loaded when it is asked for: what most builds need is the local store alone. */
async function exporterFor(spec: ExportSpec, context: BuildContext): Promise<Exporter> {
  const { engine } = context;
  switch (spec.type) {
    case 'image':
      return spec.push
        ? (await import('./push-exporter.ts')).pushExporter(context, spec)
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
