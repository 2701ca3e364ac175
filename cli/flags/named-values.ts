import { KilnError } from '../../base/errors.ts';

/**
 * Parses values of the form `NAME=value` or `NAME`. `alone` returns the value of a NAME without
 * `=`, or undefined to leave the name out. Throws KILN_FLAG_VALUE, naming `flag`, for an empty
 * name.
 */
export function namedValues(
  specs: readonly string[],
  alone: (name: string) => string | undefined,
  flag = '--build-arg',
): Map<string, string> {
  const values = new Map<string, string>();
  for (const spec of specs) {
    const equals = spec.indexOf('=');
    const name = equals < 0 ? spec : spec.slice(0, equals);
    if (name === '')
      throw new KilnError('KILN_FLAG_VALUE', `${JSON.stringify(spec)} has no name`, {
        place: { kind: 'flag', flag },
        hint: 'write NAME=value',
        exitCode: 2,
      });
    const value = equals < 0 ? alone(name) : spec.slice(equals + 1);
    if (value !== undefined) values.set(name, value);
  }
  return values;
}
