import { type OutputSpec, parseOutput } from '../exporter/output-spec.ts';

/**
 * Reads an output from its text, such as `type=oci,dest=app.tar` or `type=image`. `names` are the
 * names of the image. A value cannot contain a comma. Throws KILN_OUTPUT_INVALID.
 */
export function output(text: string, names: readonly string[] = []): OutputSpec {
  const attributes = text.split(',').map((field): [string, string] => {
    const equals = field.indexOf('=');
    return equals < 0 ? [field, 'true'] : [field.slice(0, equals), field.slice(equals + 1)];
  });
  return parseOutput(new Map(attributes), names);
}
