import type { BuiltTarget, Exporter, ExportResponse } from '../../exporter/exporter.ts';
import { imageStoreExporter } from '../../exporter/image-store.ts';
import { localExporter } from '../../exporter/local.ts';
import { dockerExporter, ociExporter } from '../../exporter/oci.ts';
import { type OutputSpec as ExportSpec, parseOutput } from '../../exporter/options.ts';
import { tarExporter } from '../../exporter/tar.ts';
import type { Session } from '../session.ts';
import { engineExporter } from './engine.ts';
import type { BuildOptions, OutputSpec } from './options.ts';
import { pushExporter } from './push.ts';
import type { BuildContext } from './run.ts';

/** Exports the targets as every `--output` asks, one after the other, and answers what they told, merged. */
export async function exportBuild(
  targets: readonly BuiltTarget[],
  options: BuildOptions,
  { session, progress, signal }: BuildContext,
): Promise<ExportResponse> {
  const response: Record<string, unknown> = {};
  for (const exporter of exportersFor(options, session)) {
    Object.assign(response, await exporter.export(targets, { signal, progress, epoch: options.epoch }));
  }
  return response;
}

function exportersFor(options: BuildOptions, session: Session): Exporter[] {
  const outputs: readonly OutputSpec[] =
    options.outputs.length > 0 ? options.outputs : [{ type: 'image', dest: undefined, attributes: new Map() }];
  return outputs
    .filter(({ type }) => type !== 'cacheonly')
    .map((output) => exporterFor(exportSpec(output, options.tags), session));
}

/** The exporter's own reading of one `--output`; checked when flags are parsed, so a wrong attribute is told before anything is built. */
export function exportSpec(output: OutputSpec, tags: readonly string[]): ExportSpec {
  const attributes = new Map([
    ['type', output.type],
    ...(output.dest === undefined ? [] : [['dest', output.dest] as const]),
    ...output.attributes,
  ]);
  return parseOutput(attributes, tags);
}

function exporterFor(spec: ExportSpec, session: Session): Exporter {
  switch (spec.type) {
    case 'image':
      return spec.push ? pushExporter(session, spec) : imageStoreExporter(session, spec);
    case 'oci':
      return ociExporter(session, spec);
    case 'docker':
      return spec.destination
        ? dockerExporter(session, { image: spec.image, destination: spec.destination })
        : engineExporter(session, spec.image);
    case 'tar':
      return tarExporter(session, spec);
    case 'local':
      return localExporter(session, spec);
  }
}
