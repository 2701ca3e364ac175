import { KilnError } from '../../base/errors.ts';
import type { BuildResult, DirectoryResult } from '../result.ts';
import type { Op } from '../solver.ts';

/** `local://NAME`: a directory that the caller lends the build. Nothing is copied; who reads it reads it by content. */
export function sourceLocalOp(identifier: string, locals: ReadonlyMap<string, DirectoryResult>): Op<BuildResult> {
  const name = identifier.slice('local://'.length);
  return {
    resource: 'none',
    cacheMap: async () => ({ parts: [{ name: 'local directory', value: name }], inputs: [], volatile: true }),
    run: async () => {
      const directory = locals.get(name);
      if (!directory)
        throw new KilnError(
          'KILN_CONTEXT_NOT_FOUND',
          `the build graph names a local directory ${JSON.stringify(name)} that was not given`,
        );
      return [directory];
    },
  };
}
