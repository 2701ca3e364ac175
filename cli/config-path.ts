import { statSync } from 'node:fs';
import { attempt, reading } from '../base/oserror.ts';

/**
 * The configuration of the host, kiln.toml. One that KILN_CONFIG names has to be there: throws
 * KILN_FILE_UNREADABLE.
 */
export function configPath(env: Readonly<Record<string, string | undefined>>): string {
  const named = env['KILN_CONFIG'];
  if (!named) return '/etc/kiln/kiln.toml';
  const what = `${named}, which KILN_CONFIG names, cannot be read`;
  attempt({ ...reading('the configuration', named), what }, () => statSync(named));
  return named;
}
