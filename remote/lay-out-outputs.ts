import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { KilnError } from '../base/errors.ts';
import { dockerLoad, engineRuns } from '../builder/export/docker-engine.ts';
import type { BuildRequest } from '../builder/request.ts';
import { layoutIndex } from '../exporter/layout.ts';
import type { Destination, OutputPlace, OutputSpec } from '../exporter/output-spec.ts';
import { type ExporterWords, exporterWords } from './exporters.ts';
import { descriptorIn, putInIndex } from './layout-index.ts';
import type { Loans } from './lend/loans.ts';
import type { Lent } from './lent.ts';

/** The store of the caller into which the server writes an OCI layout that is not an archive. */
const EXPORT_STORE = 'export';

/**
 * The outputs of a request in the words of the API. What comes here is written where the request
 * says. Throws KILN_OUTPUT_INVALID and KILN_ENGINE_LOAD.
 */
export function layOutOutputs(
  request: BuildRequest,
  loans: Loans,
  lent: Lent,
  signal: AbortSignal,
): ExporterWords[] {
  return request.outputs.map((output, number) => {
    const id = String(number);
    if (output.type === 'local')
      lent.outputs.set(id, { kind: 'directory', path: output.directory });
    else if (output.type === 'oci' && !output.tar) lendLayout(output, request, lent);
    else if (output.type === 'docker' && !output.destination) lendEngine(id, lent, signal);
    else if (output.type !== 'image' && output.destination)
      lent.outputs.set(id, {
        kind: 'bytes',
        destination: destinationOf(output.destination, loans, signal),
      });
    return exporterWords(output, request);
  });
}

function destinationOf(place: OutputPlace, loans: Loans, signal: AbortSignal): Destination {
  if (place.kind === 'file') return place;
  const { name } = place;
  return { kind: 'stream', write: (bytes) => loans.output(bytes, signal, name) };
}

function lendLayout(
  { directory, image }: OutputSpec & { readonly type: 'oci'; readonly tar: false },
  { epoch }: BuildRequest,
  lent: Lent,
): void {
  if (lent.stores.has(EXPORT_STORE))
    throw new KilnError('KILN_OUTPUT_INVALID', 'a build elsewhere has one output with tar=false', {
      place: { kind: 'flag', flag: '--output' },
      hint: 'write the others as archives',
      exitCode: 2,
    });
  mkdirSync(directory, { recursive: true });
  lent.stores.set(EXPORT_STORE, { root: directory, isWritable: true });
  lent.finishing.push(async (response) => {
    const target = descriptorIn(response['containerimage.descriptor']);
    const time = epoch === undefined ? Date.now() : epoch * 1000;
    if (target) await putInIndex(directory, layoutIndex(target, image.names, time));
  });
}

/** `--load`: the archive is loaded into the Docker engine of this host. */
function lendEngine(id: string, lent: Lent, signal: AbortSignal): void {
  if (!engineRuns())
    throw new KilnError('KILN_ENGINE_LOAD', 'no Docker engine is running here to load the image', {
      hint: 'write --output type=docker,dest=FILE, and load the file with kiln load',
    });
  const path = join(lent.scratch(), 'image.tar');
  lent.outputs.set(id, { kind: 'bytes', destination: { kind: 'file', path } });
  lent.finishing.push(() => dockerLoad(path, signal, 'mend the engine, then build again'));
}
