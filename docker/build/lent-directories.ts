import { KilnError } from '../../base/errors.ts';
import { memorySession } from '../../builder/session/memory-session.ts';
import type { Session } from '../../builder/session.ts';
import type { CredentialSource } from '../../registry/credentials.ts';

/** A session that lends one directory under several names, and logins. */
export function lentDirectory(
  path: string,
  names: readonly string[],
  credentials: CredentialSource,
): Session {
  return {
    ...memorySession({ credentials }),
    shownContext: 'archive',
    async directory(name) {
      if (names.includes(name)) return { path, remembered: false };
      throw new KilnError(
        'KILN_CONTEXT_NOT_FOUND',
        `the request has no directory ${JSON.stringify(name)}`,
      );
    },
  };
}
