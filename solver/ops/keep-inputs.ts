import type { BuildResult } from '../result.ts';
import type { InputKey, MapReport } from '../solver.ts';
import { sessionOf } from '../step-session.ts';

/**
 * The same keys of inputs. When an input cannot be read for the key, as when a file of COPY is not
 * there, the session is handed that input.
 */
export function keepingInputs(
  keys: readonly InputKey<BuildResult>[],
  report: MapReport | undefined,
): readonly InputKey<BuildResult>[] {
  const { keepFailed } = sessionOf(report);
  if (!keepFailed || !report) return keys;
  return keys.map((key, cache) => {
    if (key.by !== 'content') return key;
    return {
      ...key,
      async digest(input, signal) {
        try {
          return await key.digest(input, signal);
        } catch (error) {
          if (!signal.aborted)
            await keepFailed(report.vertex, async () => ({ before: [input], after: [], cache }));
          throw error;
        }
      },
    };
  });
}
