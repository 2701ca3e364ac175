import { ARGUMENT_SPACE, trimLeft } from './gotext.ts';
import { failure, type Reading } from './reading.ts';

/**
 * The strings of a JSON array, or undefined when `body` is none: Docker then takes the text as it
 * stands, however close to JSON it came. Only an array with something else than strings in it is an
 * error (KILN_DOCKERFILE_JSON).
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

/** True when a heredoc can stand in this body: JSON arrays hold none. */
export function isJsonArray(body: string): boolean {
  const text = trimLeft(body);
  return text.startsWith('[') && Array.isArray(parseJson(text));
}

/** Paths and the like: a JSON array, or words without quotes. */
export function readArguments(reading: Reading, body: string): string[] {
  return readJsonArray(reading, body) ?? (body === '' ? [] : body.split(ARGUMENT_SPACE));
}
