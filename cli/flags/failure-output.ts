import { resolve } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { splitCsv } from '../arguments.ts';
import type { FailureOutput } from '../build-options.ts';

/** `--output-on-error=DIR,PATH[,PATH…]` */
export function parseFailureOutput(spec: string | undefined): FailureOutput | undefined {
  if (spec === undefined) return undefined;
  const [directory = '', ...paths] = splitCsv(spec, '--output-on-error');
  if (directory === '' || paths.length === 0 || paths.includes(''))
    throw new KilnError(
      'KILN_FLAG_VALUE',
      `${JSON.stringify(spec)} does not name a directory and paths`,
      {
        place: { kind: 'flag', flag: '--output-on-error' },
        hint: 'write DIR,PATH such as --output-on-error=reports,/src/test-results',
        exitCode: 2,
      },
    );
  return { directory: resolve(directory), paths };
}
