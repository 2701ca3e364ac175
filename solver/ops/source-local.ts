import { KilnError } from '../../base/errors.ts';
import type { BuildResult } from '../result.ts';
import type { Op } from '../solver.ts';
import { sessionOf } from '../step-session.ts';

/**
 * `local://NAME`: a directory that the caller lends the build. Nothing is copied; who reads it
 * reads it by content.
 */
export function sourceLocalOp(identifier: string): Op<BuildResult> {
  const name = identifier.slice('local://'.length);
  return {
    resource: 'none',
    cacheMap: async () => ({
      parts: [{ name: 'local directory', value: name }],
      inputs: [],
      volatile: true,
    }),
    run: async (_inputs, context) => {
      const directory = sessionOf(context).directory(name);
      if (!directory)
        throw new KilnError(
          'KILN_CONTEXT_NOT_FOUND',
          `the build graph names a local directory ${JSON.stringify(name)} that was not given`,
        );
      return [directory];
    },
  };
}
