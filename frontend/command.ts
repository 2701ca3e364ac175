import { ARGUMENT_SPACE, trimLeft } from './gotext.ts';
import { failure, type Reading } from './reading.ts';

/**
 * The strings of a JSON array. Undefined when `body` is not JSON: Docker then takes the text as
 * written, however close to JSON it is. Only an array with other values than strings is an error
 * (KILN_DOCKERFILE_JSON).
 */
export function readJsonArray(reading: Reading, body: string): string[] | undefined {
  const text = trimLeft(body);
  if (!text.startsWith('[')) return undefined;
  const value = parseJson(text);
  if (!Array.isArray(value)) return undefined;
  if (!value.every((item) => typeof item === 'string')) {
    const message = 'when using JSON array syntax, arrays must be comprised of strings only';
    throw failure(reading, 'KILN_DOCKERFILE_JSON', message, 'put every argument in double quotes');
  }
  return value.map((item) => item.toWellFormed());
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** True when `body` is a JSON array, which cannot hold a heredoc. */
export function isJsonArray(body: string): boolean {
  const text = trimLeft(body);
  return text.startsWith('[') && Array.isArray(parseJson(text));
}

/** Reads paths and the like: a JSON array, or words without quotes. */
export function readArguments(reading: Reading, body: string): string[] {
  return readJsonArray(reading, body) ?? (body === '' ? [] : body.split(ARGUMENT_SPACE));
}
