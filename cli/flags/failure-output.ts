import { resolve } from 'node:path';
import { splitCsv } from '../arguments.ts';
import type { FailureOutput } from '../build-options.ts';
import { flagError } from '../flag-error.ts';

const FLAG = '--output-on-error';

/** Parses `--output-on-error=DIR,PATH[,PATH…]`. The directory becomes absolute. */
export function parseFailureOutput(spec: string | undefined): FailureOutput | undefined {
  if (spec === undefined) return undefined;
  const [directory = '', ...paths] = splitCsv(spec, FLAG);
  if (directory === '' || paths.length === 0 || paths.includes(''))
    throw flagError(
      FLAG,
      `${JSON.stringify(spec)} is not a directory followed by paths`,
      'write DIR,PATH, such as --output-on-error=reports,/src/test-results',
    );
  return { directory: resolve(directory), paths };
}
