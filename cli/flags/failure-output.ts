import { resolve } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { splitCsv } from '../arguments.ts';
import type { FailureOutput } from '../build-options.ts';

/** Parses `--output-on-error=DIR,PATH[,PATH…]`. The directory becomes absolute. */
export function parseFailureOutput(spec: string | undefined): FailureOutput | undefined {
  if (spec === undefined) return undefined;
  const [directory = '', ...paths] = splitCsv(spec, '--output-on-error');
  if (directory === '' || paths.length === 0 || paths.includes(''))
    throw new KilnError(
      'KILN_FLAG_VALUE',
      `${JSON.stringify(spec)} is not a directory followed by paths`,
      {
        place: { kind: 'flag', flag: '--output-on-error' },
        hint: 'write DIR,PATH, such as --output-on-error=reports,/src/test-results',
        exitCode: 2,
      },
    );
  return { directory: resolve(directory), paths };
}
