import { KilnError } from '../../base/errors.ts';

/** Reads the number of a port. Throws KILN_FLAG_VALUE. */
export function parsePort(text: string, flag: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port;
  throw new KilnError('KILN_FLAG_VALUE', `${JSON.stringify(text)} is not a port`, {
    place: { kind: 'flag', flag },
    hint: 'write a number from 0 to 65535',
    exitCode: 2,
  });
}
