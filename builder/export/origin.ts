import { createHash } from 'node:crypto';
import { type BuildRequest, placeOfContext } from '../request.ts';
import type { Session } from '../session.ts';

/**
 * What a build without a name was made from, as a short text: the same for builds of one context,
 * Dockerfile, target, list of platforms and list of build arguments, whatever the files contain. So
 * the result of a later one replaces that of an earlier one. Undefined for a context that was sent,
 * of which two have nothing in common.
 */
export function originOf(
  { context, dockerfile, target, platforms, buildArgs, labels }: BuildRequest,
  { placeOf }: Pick<Session, 'placeOf'>,
): string | undefined {
  if (context.kind !== 'directory' && context.kind !== 'remote') return undefined;
  const place = placeOfContext(context, placeOf);
  const parts = [place, dockerfile, target, platforms, [...buildArgs], [...labels]];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}
