import { flagError } from '../flag-error.ts';

interface NamedValues {
  /** The flag that has these values, for messages. */
  readonly flag: string;
  /** Returns the value of a NAME without `=`, or undefined to leave the name out. */
  readonly alone: (name: string) => string | undefined;
  readonly warn: (sentence: string) => void;
}

/**
 * Parses values of the form `NAME=value` or `NAME`. Of two values of a name the last one is used,
 * as docker does, with a warning. Throws KILN_FLAG_VALUE, naming the flag, for an empty name.
 */
export function namedValues(
  specs: readonly string[],
  { flag, alone, warn }: NamedValues,
): Map<string, string> {
  const values = new Map<string, string>();
  for (const spec of specs) {
    const equals = spec.indexOf('=');
    const name = equals < 0 ? spec : spec.slice(0, equals);
    if (name === '')
      throw flagError(flag, `${JSON.stringify(spec)} has no name`, 'write NAME=value');
    const value = equals < 0 ? alone(name) : spec.slice(equals + 1);
    if (value === undefined) continue;
    if (values.has(name) && values.get(name) !== value)
      warn(`${flag} ${name} is given more than once: the last value is used`);
    values.set(name, value);
  }
  return values;
}
