import { KilnError } from '../../base/errors.ts';
import type { Reference } from '../../base/reference.ts';
import { isDevice, tryDirectory, tryFile } from '../../exporter/destination.ts';
import { indexNeeded, needsOciTypes, severalPlatforms } from '../../exporter/image-errors.ts';
import { type OutputSpec as ExportSpec, STANDARD_OUTPUT } from '../../exporter/output-spec.ts';
import type { BuildRequest } from '../request.ts';
import type { Session } from '../session.ts';

/**
 * Checks that all outputs can be written, before the build begins. So a mistyped path fails at
 * once, and not after the last step. Creates nothing. Throws KILN_OUTPUT_INVALID for an output that
 * cannot work, and KILN_OUTPUT_UNWRITABLE for a path that cannot be written. `isDriven`: what the
 * result will be is not known yet, so its form is left to the exporters.
 */
export function tryOutputs(
  request: BuildRequest,
  session: Pick<Session, 'output' | 'layout'>,
  isDriven = false,
): void {
  const { outputs, cacheTo } = request;
  requireDistinctPlaces(outputs);
  for (const output of outputs) {
    if (!isDriven) requireFittingPlatforms(output, request);
    requireFittingTypes(output, request);
    if (output.type === 'image' && output.push) requireName(output.image.names);
    if (layoutIn(output, session)) continue;
    if ('directory' in output) tryDirectory({ path: output.directory, flag: '--output' });
    else if ('destination' in output && output.destination?.kind === 'file')
      tryFile({ path: output.destination.path, flag: '--output' });
    else if ('destination' in output && output.destination?.kind === 'lent' && !session.output)
      throw noCallerOutput(output.type);
  }
  for (const cache of cacheTo)
    if (cache.type === 'local' && !cache.ignoreError)
      tryDirectory({ path: cache.dest, flag: '--cache-to' });
}

/**
 * Refuses an output whose form does not fit the platforms of the request. The exporter would refuse
 * it, too, but only after the last step.
 */
function requireFittingPlatforms(output: ExportSpec, { platforms, attest }: BuildRequest): void {
  if (!('image' in output)) return;
  const { annotations, alwaysIndex } = output.image;
  const several = platforms.length > 1 || alwaysIndex;
  if (output.type === 'docker' && output.destination && several) throw severalPlatforms();
  const attested = output.type !== 'docker' && (attest.provenance !== undefined || attest.sbom);
  const forIndex = annotations.some(({ target }) => target.startsWith('index'));
  if (forIndex && !several && !attested) throw indexNeeded();
}

/** Refuses Docker's media types for an image of which a part has only OCI's. */
function requireFittingTypes(output: ExportSpec, { attest }: BuildRequest): void {
  if (!('image' in output) || output.image.ociTypes !== false) return;
  const { compression, ociArtifact, annotations } = output.image;
  if (compression === 'zstd') throw needsOciTypes('compression=zstd');
  if (ociArtifact) throw needsOciTypes('oci-artifact=true');
  if (annotations.some(({ target }) => target.startsWith('index')))
    throw needsOciTypes('an annotation of the index');
  if (output.type !== 'docker' && (attest.provenance !== undefined || attest.sbom))
    throw needsOciTypes('an attestation');
}

/** Two outputs in one place would overwrite each other, or be mixed in one stream. */
function requireDistinctPlaces(outputs: readonly ExportSpec[]): void {
  const places = new Set<string>();
  for (const output of outputs) {
    const place = placeOf(output);
    if (place === undefined) continue;
    if (places.has(place))
      throw new KilnError('KILN_OUTPUT_INVALID', `two outputs are to be written to ${place}`, {
        place: { kind: 'flag', flag: '--output' },
        hint: 'give each output a destination of its own',
        exitCode: 2,
      });
    places.add(place);
  }
}

/** The store of the caller that takes a layout in the place of its directory. */
export function layoutIn(output: ExportSpec, { layout }: Pick<Session, 'layout'>) {
  return output.type === 'oci' && !output.tar ? layout?.(output.directory) : undefined;
}

/** Undefined for an output that may share its place: an image in the store, or a device. */
function placeOf(output: ExportSpec): string | undefined {
  if ('directory' in output) return output.directory;
  if (!('destination' in output)) return undefined;
  const { destination } = output;
  if (destination?.kind === 'lent')
    return destination.name === STANDARD_OUTPUT
      ? 'standard output'
      : `the output ${JSON.stringify(destination.name)} of the caller`;
  return destination?.kind === 'file' && !isDevice(destination.path) ? destination.path : undefined;
}

export function noCallerOutput(type: string): KilnError {
  return new KilnError(
    'KILN_OUTPUT_INVALID',
    `the output of type ${type} goes to the session, which has no output`,
    {
      place: { kind: 'flag', flag: '--output' },
      hint: 'name a file with dest=, or give the session an output',
      exitCode: 2,
    },
  );
}

function requireName(names: readonly Reference[]): void {
  if (names.length > 0) return;
  throw new KilnError('KILN_OUTPUT_INVALID', 'a push needs a name', {
    place: { kind: 'flag', flag: '--push' },
    hint: 'name the image with -t',
    exitCode: 2,
  });
}
