import type { OutputSpec } from '../../exporter/output-spec.ts';

/** The output, written as for several platforms: with an index, or a directory for each. */
export function asSeveral(output: OutputSpec): OutputSpec {
  if (output.type === 'local') return { platformSplit: true, ...output };
  return 'image' in output ? { ...output, image: { ...output.image, alwaysIndex: true } } : output;
}
