import { flagError } from './flag-error.ts';
import { PROGRESS_MODES, type ProgressMode } from './progress/view.ts';

/**
 * Returns the type of progress output: the value of `--progress`, else of BUILDKIT_PROGRESS, else
 * `auto`. Throws KILN_FLAG_VALUE for an unknown type.
 */
export function progressMode(
  flag: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): ProgressMode {
  const text = flag || env['BUILDKIT_PROGRESS'] || 'auto';
  const mode = PROGRESS_MODES.find((known) => known === text);
  if (mode) return mode;
  const source = flag ? '--progress' : 'BUILDKIT_PROGRESS';
  throw flagError(
    source,
    `${source} is ${JSON.stringify(text)}, which is not a type of progress output`,
    `use one of ${PROGRESS_MODES.join(', ')}`,
  );
}
