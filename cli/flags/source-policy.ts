import { attempt, reading } from '../../base/oserror.ts';
import { readRegularFile } from '../../base/regular-file.ts';
import type { SourcePolicy } from '../../solver/source-policy/policy.ts';
import { readPolicy } from '../../solver/source-policy/read-policy.ts';

const VARIABLE = 'EXPERIMENTAL_BUILDKIT_SOURCE_POLICY';

/** A policy is written by hand: a larger file is something else. */
const MAX_POLICY = 4 << 20;

/**
 * Reads the policy in the file that the environment names, as buildx does. Throws
 * KILN_FILE_UNREADABLE, and KILN_POLICY_INVALID with the path of the file.
 */
export function sourcePolicies(
  env: Readonly<Record<string, string | undefined>>,
): readonly SourcePolicy[] {
  const path = env[VARIABLE];
  if (!path) return [];
  const bytes = attempt(reading(`the source policy of ${VARIABLE}`, path), () =>
    readRegularFile(path, MAX_POLICY),
  );
  return [readPolicy(bytes, path)];
}
