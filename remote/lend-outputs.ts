import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { KilnError } from '../base/errors.ts';
import { parseReference } from '../base/reference.ts';
import { dockerLoad, engineRuns } from '../builder/export/docker-engine.ts';
import { layoutIndex } from '../exporter/layout.ts';
import type { Destination, OutputPlace } from '../exporter/output-spec.ts';
import type { OutputWords } from './build-words.ts';
import { descriptorIn, putInIndex } from './layout-index.ts';
import type { Loans } from './lend/loans.ts';
import type { Lent } from './lent.ts';

/** The store of the caller into which the server writes an OCI layout that is not an archive. */
const EXPORT_STORE = 'export';

/**
 * Has the outputs of a build come where the caller wants them: each is lent by its number. Throws
 * KILN_OUTPUT_INVALID and KILN_ENGINE_LOAD.
 */
export function lendOutputs(
  outputs: readonly OutputWords[],
  loans: Pick<Loans, 'output'>,
  lent: Lent,
  signal: AbortSignal,
): void {
  for (const [number, output] of outputs.entries()) {
    const { comes } = output;
    const id = String(number);
    if (comes?.kind === 'bytes') {
      const destination = destinationOf(comes.place, loans, signal);
      lent.outputs.set(id, { kind: 'bytes', destination });
    } else if (comes?.kind === 'tree') lent.outputs.set(id, { ...comes, kind: 'directory' });
    else if (comes?.kind === 'layout') lendLayout(comes.path, output, lent);
    else if (comes?.kind === 'engine') lendEngine(id, lent, signal);
  }
}

function destinationOf(
  place: OutputPlace,
  loans: Pick<Loans, 'output'>,
  signal: AbortSignal,
): Destination {
  if (place.kind === 'file') return place;
  const { name } = place;
  return { kind: 'stream', write: (bytes) => loans.output(bytes, signal, name) };
}

function lendLayout(directory: string, { attrs }: OutputWords, lent: Lent): void {
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
    const names = (attrs['name'] ?? '').split(',').filter(Boolean).map(parseReference);
    if (target) await putInIndex(directory, layoutIndex(target, names, Date.now()));
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
