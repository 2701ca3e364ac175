import { KilnError } from '../base/errors.ts';
import type { SecretSpec } from './build-options.ts';

/** Adds to the error of a secret that a step lacks that the variable for it is not set. */
export function withSecretHint(
  error: unknown,
  secrets: readonly SecretSpec[],
  env: NodeJS.ProcessEnv,
): unknown {
  if (!(error instanceof KilnError) || error.code !== 'KILN_SECRET_NOT_FOUND') return error;
  const [, id] = /^secret (.*): not found$/.exec(error.message) ?? [];
  const source = secrets.find((secret) => secret.id === id)?.source;
  if (source?.kind !== 'env' || env[source.name] !== undefined) return error;
  return error.with({ hint: `set the variable ${source.name}, and export it, before the build` });
}
