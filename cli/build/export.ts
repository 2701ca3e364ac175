import type { BuiltTarget, ExportContext, Exporter, ExportResponse } from '../../exporter/exporter.ts';
import { imageStoreExporter } from '../../exporter/image-store.ts';
import { type OutputSpec as ExportSpec, parseOutput } from '../../exporter/options.ts';
import type { Session } from '../session.ts';
import type { BuildOptions, OutputSpec } from './options.ts';
import type { BuildContext } from './run.ts';

/** Every `--output` as the exporters read it. Asked before anything is built: so a wrong attribute costs no build. */
export function exportSpecs(options: BuildOptions): ExportSpec[] {
  const outputs: readonly OutputSpec[] =
    options.outputs.length > 0 ? options.outputs : [{ type: 'image', dest: undefined, attributes: new Map() }];
  return outputs.filter(({ type }) => type !== 'cacheonly').map((output) => exportSpec(output, options.tags));
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

/** Exports the targets as the specs ask, one after the other, and answers what they told, merged. */
export async function exportBuild(
  targets: readonly BuiltTarget[],
  specs: readonly ExportSpec[],
  { epoch, attest }: Pick<ExportContext, 'epoch' | 'attest'>,
  { session, progress, signal }: BuildContext,
): Promise<ExportResponse> {
  const response: Record<string, unknown> = {};
  for (const spec of specs) {
    const exporter = await exporterFor(spec, session);
    Object.assign(response, await exporter.export(targets, { signal, progress, epoch, attest }));
  }
  return response;
}

/** Each is loaded when it is asked for: what most builds need is the local store alone. */
async function exporterFor(spec: ExportSpec, session: Session): Promise<Exporter> {
  switch (spec.type) {
    case 'image':
      return spec.push ? (await import('./push.ts')).pushExporter(session, spec) : imageStoreExporter(session, spec);
    case 'oci':
      return (await import('../../exporter/oci.ts')).ociExporter(session, spec);
    case 'docker': {
      if (!spec.destination) return (await import('./engine.ts')).engineExporter(session, spec.image);
      const { dockerExporter } = await import('../../exporter/oci.ts');
      return dockerExporter(session, { image: spec.image, destination: spec.destination });
    }
    case 'tar':
      return (await import('../../exporter/tar.ts')).tarExporter(session, spec);
    case 'local':
      return (await import('../../exporter/local.ts')).localExporter(session, spec);
  }
}
