import { KilnError } from '../base/errors.ts';

/** Returns the error KILN_FLAG_VALUE, for a value of `flag` that is not valid. */
export function flagError(flag: string, message: string, hint?: string): KilnError {
  return new KilnError('KILN_FLAG_VALUE', message, {
    place: { kind: 'flag', flag },
    hint,
    exitCode: 2,
  });
}

/** Runs `work`. A KilnError of it gets `flag` as its place and the exit code for wrong usage. */
export function atFlag<T>(flag: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    const { code, message, hint } = error;
    throw new KilnError(code, message, { place: { kind: 'flag', flag }, hint, exitCode: 2 });
  }
}
