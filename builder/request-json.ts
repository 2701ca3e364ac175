import { KilnError } from '../base/errors.ts';
import { type BuildRequest, buildRequest } from './request.ts';
import { REQUEST_FIELDS } from './request-fields.ts';

/**
 * Writes a request as JSON. `requestFromJson` reads the same request from it.
 */
export function requestToJson(request: BuildRequest): string {
  // A map is a list of pairs, so that its order stays.
  const fields = Object.entries(request).map(([name, value]) => [
    name,
    value instanceof Map ? [...value] : value,
  ]);
  return JSON.stringify(Object.fromEntries(fields));
}

/**
 * Reads a request from its JSON form. A field that is left out has the value of a plain build.
 * Throws KILN_REQUEST_INVALID, with the name of the field in the message.
 */
export function requestFromJson(text: string): BuildRequest {
  const given = parsed(text);
  const plain = buildRequest({});
  for (const name of Object.keys(given))
    if (!Object.hasOwn(plain, name))
      throw invalid(`${JSON.stringify(name)} is not a field of a build request`);
  const fields = Object.entries(plain).map(([name, usual]) => {
    if (!Object.hasOwn(given, name)) return [name, usual];
    const value = given[name];
    REQUEST_FIELDS[name as keyof BuildRequest].form(value, name, invalid);
    return [name, usual instanceof Map ? new Map(value as [string, unknown][]) : value];
  });
  return Object.fromEntries(fields) as unknown as BuildRequest;
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid('it is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid('it is not an object');
  return value as Readonly<Record<string, unknown>>;
}

function invalid(why: string): KilnError {
  return new KilnError('KILN_REQUEST_INVALID', `the build request cannot be read: ${why}`, {
    hint: 'write the JSON with requestToJson',
  });
}
