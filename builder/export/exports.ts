import { KilnError } from '../../base/errors.ts';
import { closedOutput, isClosed } from '../../cli/output.ts';
import type { Session } from '../../cli/session.ts';
import { withSoundBlobs } from '../../exporter/again.ts';
import { tryDirectory, tryFile } from '../../exporter/destination.ts';
import type { BuiltTarget, ExportContext, Exporter, ExportResponse } from '../../exporter/exporter.ts';
import { imageStoreExporter } from '../../exporter/image-store.ts';
import { type OutputSpec as ExportSpec, parseOutput } from '../../exporter/options.ts';
import { fullDiskError } from '../../snapshotter/store/errors.ts';
import type { BuildOptions, OutputSpec } from '../build-options.ts';
import type { BuildContext } from '../solve-build.ts';
import type { Fates } from './fates.ts';

/** Every `--output` as the exporters read it. Asked before anything is built: so a wrong attribute costs no build. */
export function exportSpecs(options: BuildOptions): ExportSpec[] {
  const outputs: readonly OutputSpec[] =
    options.outputs.length > 0 ? options.outputs : [{ type: 'image', dest: undefined, attributes: new Map() }];
  const specs = outputs.filter(({ type }) => type !== 'cacheonly').map((output) => exportSpec(output, options.tags));
  for (const spec of specs) if (spec.type === 'image' && spec.push) mustHaveName(spec.image.names);
  return specs;
}

function mustHaveName(names: readonly string[]): void {
  if (names.length > 0) return;
  throw new KilnError('KILN_OUTPUT_INVALID', 'a push needs a name', {
    place: { kind: 'flag', flag: '--push' },
    hint: 'name the image with -t',
    exitCode: 2,
  });
}

/** A push of the layers as they are can do with layers that are in some registry already. */
export function needsNoLayers(spec: ExportSpec): boolean {
  if (spec.type !== 'image' || !spec.push || spec.store) return false;
  return spec.image.compression === undefined && !spec.image.forceCompression;
}

function exportSpec(output: OutputSpec, tags: readonly string[]): ExportSpec {
  const attributes = new Map([
    ['type', output.type],
    ...(output.dest === undefined ? [] : [['dest', output.dest] as const]),
    ...output.attributes,
  ]);
  return parseOutput(attributes, tags);
}

/**
 * Exports the targets as the specs ask, one after the other, and answers what they told, merged. One that fails does not keep the others from
 * being made: `fates` is told what became of each.
 */
export async function exportBuild(
  targets: readonly BuiltTarget[],
  specs: readonly ExportSpec[],
  { epoch, attest }: Pick<ExportContext, 'epoch' | 'attest'>,
  { session, progress, signal }: BuildContext,
  fates: Fates,
): Promise<ExportResponse> {
  const response: Record<string, unknown> = {};
  for (const spec of specs) {
    try {
      const exporter = await exporterFor(spec, session);
      const work = () => exporter.export(targets, { signal, progress, epoch, attest });
      Object.assign(response, await (writesStdout(spec) ? work() : withSoundBlobs(work)));
      fates.done(shown(spec));
    } catch (error) {
      if (signal.aborted) throw error;
      fates.failed(shown(spec), fullDiskError(error, session.store.root));
    }
  }
  return response;
}

/** An output as its user knows it. */
function shown(spec: ExportSpec): string {
  if ('directory' in spec) return `type=${spec.type},dest=${spec.directory}`;
  if (spec.type === 'image') return spec.push ? 'the push' : 'the image in the store';
  const { destination } = spec;
  return destination?.kind === 'file' ? `type=${spec.type},dest=${destination.path}` : `type=${spec.type}`;
}

function writesStdout(spec: ExportSpec): boolean {
  return 'destination' in spec && spec.destination?.kind === 'stdout';
}

/** Every file and directory that the build shall write (but those that say what was built: result-files.ts) is tried before it begins: a misspelt one costs no build, and nothing is made. */
export function tryOutputs(options: BuildOptions, specs: readonly ExportSpec[]): void {
  for (const spec of specs) {
    if ('directory' in spec) tryDirectory({ path: spec.directory, flag: '--output' });
    else if (writesStdout(spec) && isClosed(1)) throw closedOutput();
    else if ('destination' in spec && spec.destination?.kind === 'file')
      tryFile({ path: spec.destination.path, flag: '--output' });
  }
  for (const cache of options.cacheTo)
    if (cache.type === 'local' && !cache.ignoreError) tryDirectory({ path: cache.dest, flag: '--cache-to' });
  if (options.outputOnError) tryDirectory({ path: options.outputOnError.directory, flag: '--output-on-error' });
}

/** Each is loaded when it is asked for: what most builds need is the local store alone. */
async function exporterFor(spec: ExportSpec, session: Session): Promise<Exporter> {
  switch (spec.type) {
    case 'image':
      return spec.push ? (await import('./push.ts')).pushExporter(session, spec) : imageStoreExporter(session, spec);
    case 'oci':
      return (await import('../../exporter/oci.ts')).ociExporter(session, spec);
    case 'docker': {
      if (!spec.destination) return (await import('./docker-engine.ts')).engineExporter(session, spec.image);
      const { dockerExporter } = await import('../../exporter/oci.ts');
      return dockerExporter(session, { image: spec.image, destination: spec.destination });
    }
    case 'tar':
      return (await import('../../exporter/tar.ts')).tarExporter(session, spec);
    case 'local':
      return (await import('../../exporter/local.ts')).localExporter(session, spec);
  }
}
