import type { IncomingMessage } from 'node:http';
import { documentOf, invalidBody } from './bodies.ts';

/** Reads a body that is a JSON object. Throws KILN_REQUEST_INVALID. */
export async function jsonBody(body: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await documentOf(body);
  try {
    const value: unknown = JSON.parse(bytes.toString());
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Readonly<Record<string, unknown>>;
  } catch {
    // Said below.
  }
  throw invalidBody('it is not a JSON object');
}
