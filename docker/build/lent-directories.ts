import { KilnError } from '../../base/errors.ts';
import { memorySession } from '../../builder/session/memory-session.ts';
import type { Session } from '../../builder/session.ts';
import type { CredentialSource } from '../../registry/credentials.ts';

/**
 * A session that lends one directory under several names, and logins. All else is lent by `client`,
 * if the request has named the session of one: secrets, agents, other directories and logins.
 */
export function lentDirectory(
  path: string,
  names: readonly string[],
  credentials: CredentialSource,
  client?: Session,
): Session {
  return {
    ...(client ?? memorySession({})),
    shownContext: 'archive',
    placeOf: (name) => (names.includes(name) ? name : (client?.placeOf(name) ?? name)),
    async directory(name, wanted) {
      if (names.includes(name)) return { path, remembered: false };
      if (client) return await client.directory(name, wanted);
      throw new KilnError(
        'KILN_CONTEXT_NOT_FOUND',
        `the request has no directory ${JSON.stringify(name)}`,
      );
    },
    credentials: async (host, signal) =>
      (await credentials(host, signal)) ?? (await client?.credentials?.(host, signal)),
  };
}
