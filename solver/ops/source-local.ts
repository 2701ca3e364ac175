import { KilnError } from '../../base/errors.ts';
import type { BuildResult } from '../result.ts';
import type { Op } from '../solver.ts';
import { sessionOf } from '../step-session.ts';

/**
 * The op of `local://NAME`, a directory of the caller. Its result is the directory itself, which
 * ops read by content. `run` rejects with KILN_CONTEXT_NOT_FOUND if the caller lends no such
 * directory.
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
