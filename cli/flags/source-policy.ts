import { attempt, reading } from '../../base/oserror.ts';
import { readRegularFile } from '../../base/regular-file.ts';
import type { SourcePolicy } from '../../solver/source-policy/policy.ts';
import { readPolicy } from '../../solver/source-policy/read-policy.ts';

const VARIABLE = 'EXPERIMENTAL_BUILDKIT_SOURCE_POLICY';

/** A policy is written by hand: a larger file is something else. */
const MAX_POLICY = 4 << 20;

/**
 * Reads the policy in the file that the environment names, as buildx does, or a flag (`file`).
 * Throws KILN_FILE_UNREADABLE, and KILN_POLICY_INVALID with the path of the file.
 */
export function sourcePolicies(
  env: Readonly<Record<string, string | undefined>>,
  file?: string,
): readonly SourcePolicy[] {
  const path = file || env[VARIABLE];
  if (!path) return [];
  const what = file ? 'the source policy' : `the source policy of ${VARIABLE}`;
  const bytes = attempt(reading(what, path), () => readRegularFile(path, MAX_POLICY));
  return [readPolicy(bytes, path)];
}
