import { statSync } from 'node:fs';
import { attempt, reading } from '../base/oserror.ts';

/**
 * Returns the path of kiln.toml, the configuration of the host: KILN_CONFIG, else
 * /etc/kiln/kiln.toml, which may be missing. Throws KILN_FILE_UNREADABLE when the file that
 * KILN_CONFIG names does not exist.
 */
export function configPath(env: Readonly<Record<string, string | undefined>>): string {
  const named = env['KILN_CONFIG'];
  if (!named) return '/etc/kiln/kiln.toml';
  const what = `${named}, which KILN_CONFIG names, cannot be read`;
  attempt({ ...reading('the configuration', named), what }, () => statSync(named));
  return named;
}
