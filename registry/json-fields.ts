import { isUtf8 } from 'node:buffer';
import { isDigest } from '../base/digest.ts';

/**
 * Checks for fields of documents from outside. Each check returns the value with its type, or
 * throws the error that `invalid` makes of a sentence that names the field. `null` is what Go
 * writes for an absent value, and counts as absent.
 */

export type Json = Readonly<Record<string, unknown>>;
export type Invalid = (why: string) => Error;
/** Throws unless `value`, found at `field`, has the type that the function checks. */
export type FieldCheck = (value: unknown, field: string, invalid: Invalid) => void;

/** No honest document nests deeper, and a recursive walk of this depth is safe. */
const MAX_DEPTH = 100;
const SHOWN = 80;

/**
 * Parses JSON from outside. Returns undefined when it is not valid JSON: the messages of a parser
 * quote the input, which may be confidential.
 */
export function jsonOf(bytes: Uint8Array): { readonly value: unknown } | undefined {
  try {
    // Not by a TextDecoder, which Node has to load first.
    if (!isUtf8(bytes)) return undefined;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
    const value: unknown = JSON.parse(text.startsWith('\ufeff') ? text.slice(1) : text);
    return isShallow(value) ? { value } : undefined;
  } catch {
    return undefined;
  }
}

function isShallow(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) return false;
    level = level.flatMap((item) =>
      typeof item === 'object' && item !== null ? Object.values(item) : [],
    );
  }
  return true;
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A short, one-line form of a value for a message. */
export function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  if (typeof value === 'object' && value !== null)
    return Array.isArray(value) ? 'a list' : 'an object';
  const text = typeof value === 'string' ? JSON.stringify(value.slice(0, SHOWN)) : String(value);
  return text.replace(/[\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g, '?');
}

function typed(what: string, is: (value: unknown) => boolean): FieldCheck {
  return (value, field, invalid) => {
    if (!is(value)) throw invalid(`${field} is ${shown(value)}, not ${what}`);
  };
}

export const text = typed('a string', (value) => typeof value === 'string');
export const flag = typed('true or false', (value) => typeof value === 'boolean');
export const integer = typed('an integer', Number.isSafeInteger);
export const digest = typed(
  'a sha256 digest',
  (value) => typeof value === 'string' && isDigest(value),
);
/** A time in the form of RFC 3339. Some tools write an empty string for an unknown time. */
export const time = typed(
  'a time',
  (value) => typeof value === 'string' && (value === '' || !Number.isNaN(Date.parse(value))),
);
/** The value that Go writes for a member of a set: `{}`. */
export const member = typed('an object', (value) => value === null || isObject(value));

export function listOf(check: FieldCheck, max = Number.POSITIVE_INFINITY): FieldCheck {
  return (value, field, invalid) => {
    if (!Array.isArray(value)) throw invalid(`${field} is ${shown(value)}, not a list`);
    if (value.length > max)
      throw invalid(`${field} has ${value.length} entries, ${max} are allowed`);
    for (const [index, item] of value.entries()) check(item, `${field}[${index}]`, invalid);
  };
}

export function mapOf(check: FieldCheck): FieldCheck {
  return (value, field, invalid) => {
    if (!isObject(value)) throw invalid(`${field} is ${shown(value)}, not an object`);
    for (const [key, item] of Object.entries(value))
      check(item, `${field}[${shown(key)}]`, invalid);
  };
}

/** An object whose named fields, when present, have these types. Other fields are not checked. */
export function record(fields: Readonly<Record<string, FieldCheck>>): FieldCheck {
  return (value, field, invalid) => {
    if (!isObject(value))
      throw invalid(`${field === '' ? 'it' : field} is ${shown(value)}, not an object`);
    for (const [name, check] of Object.entries(fields)) {
      const found = value[name];
      if (found !== undefined && found !== null)
        check(found, field === '' ? name : `${field}.${name}`, invalid);
    }
  };
}
