import { KilnError } from '../base/errors.ts';
import { parseAnnotation } from '../exporter/annotations.ts';
import type { ExportResponse } from '../exporter/exporter.ts';
import type { OutputSpec } from '../exporter/output-spec.ts';
import type { BuildRequest } from './request.ts';

/** The time of the sources in seconds, for outputs when the build has no other. */
const EPOCH = 'source.date.epoch';
/** Values that are for the caller begin so. */
const FOR_CALLER = 'frontend.';

/**
 * Reads what a client or a frontend in an image says of its result besides image configs, by
 * BuildKit's names: annotations of the image (`annotation.KEY`, `annotation-index.KEY`, …), the
 * time of the sources, and values for the caller (`frontend.*`). Other names mean nothing here.
 * Throws KILN_OUTPUT_INVALID and KILN_REQUEST_INVALID.
 */
export function withMetadata(
  request: BuildRequest,
  metadata: Readonly<Record<string, Uint8Array>>,
): { readonly request: BuildRequest; readonly response: ExportResponse } {
  const texts = Object.entries(metadata).map(([name, value]): [string, string] => [
    name,
    Buffer.from(value).toString(),
  ]);
  const annotations = texts.flatMap(([name, value]) => parseAnnotation(name, value) ?? []);
  const annotated = (output: OutputSpec): OutputSpec =>
    'image' in output
      ? {
          ...output,
          // What the result says takes precedence over what the output says.
          image: { ...output.image, annotations: [...output.image.annotations, ...annotations] },
        }
      : output;
  const epoch = texts.find(([name]) => name === EPOCH)?.[1];
  return {
    request: {
      ...request,
      ...(annotations.length > 0 && { outputs: request.outputs.map(annotated) }),
      epoch: request.epoch ?? (epoch === undefined ? undefined : secondsOf(epoch)),
    },
    response: Object.fromEntries(texts.filter(([name]) => name.startsWith(FOR_CALLER))),
  };
}

function secondsOf(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new KilnError(
    'KILN_REQUEST_INVALID',
    `${EPOCH} of the result is not a number of seconds: ${JSON.stringify(text.slice(0, 100))}`,
  );
}
