import { KilnError } from '../../base/errors.ts';

/** What a server may grant to builds: the names that BuildKit's flags and clients use. */
export const GRANTABLE = ['network.host', 'security.insecure', 'device'] as const;

/**
 * Refuses a build that asks for an entitlement which the server does not grant. A client can ask
 * for anything, so what the operator of the server allows decides. Throws KILN_NOT_ALLOWED.
 */
export function refuseUngranted(asked: readonly string[], granted: readonly string[]): void {
  const refused = asked.find((name) => !granted.includes(name.split('=', 1)[0] ?? ''));
  if (refused === undefined) return;
  throw new KilnError(
    'KILN_NOT_ALLOWED',
    `granting entitlement ${refused} is not allowed by build daemon configuration`,
    {
      hint: `start the server with --allow-insecure-entitlement ${refused.split('=', 1)[0]}`,
    },
  );
}
