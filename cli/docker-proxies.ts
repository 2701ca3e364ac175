import { KilnError } from '../base/errors.ts';
import { type DockerConfig, readDockerConfig } from '../registry/docker-config.ts';

/** The fields of an entry of `proxies`, and the build arguments that they set. */
const FIELDS = {
  httpProxy: 'HTTP_PROXY',
  httpsProxy: 'HTTPS_PROXY',
  ftpProxy: 'FTP_PROXY',
  noProxy: 'NO_PROXY',
  allProxy: 'ALL_PROXY',
} as const;

/** The daemon that docker's client uses by default. Entries of `proxies` are keyed by daemon. */
const DOCKER_HOST = 'unix:///var/run/docker.sock';

/**
 * Returns the build arguments that docker sets from `proxies` of its config.json at `path`. They
 * come from the entry for DOCKER_HOST, else from the entry `default`. Each is set in upper and in
 * lower case, unless `given`, the user's build arguments, has it in either case.
 *
 * Never throws because of the file: `warn` gets a sentence about what cannot be used, since no
 * build depends on it.
 */
export function dockerProxies(
  path: string,
  env: Readonly<Record<string, string | undefined>>,
  given: ReadonlyMap<string, string>,
  warn: (sentence: string) => void,
): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const names = new Set([...given.keys()].map((name) => name.toUpperCase()));
  for (const [name, value] of Object.entries(entryOf(path, env, warn))) {
    const variable = FIELDS[name as keyof typeof FIELDS];
    if (typeof value !== 'string')
      warn(`proxies of ${path}: ${name} is not a string, and is ignored`);
    else if (variable !== undefined && value !== '' && !names.has(variable)) {
      found.set(variable, value);
      found.set(variable.toLowerCase(), value);
    }
  }
  return found;
}

function entryOf(
  path: string,
  env: Readonly<Record<string, string | undefined>>,
  warn: (sentence: string) => void,
): Readonly<Record<string, unknown>> {
  let config: DockerConfig;
  try {
    config = readDockerConfig(path, (reason) =>
      warn(`${reason}; its logins and proxies are not used`),
    );
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    warn(`${error.message}; its proxies are not used`);
    return {};
  }
  const { proxies } = config;
  if (proxies === undefined) return {};
  const entries = table(proxies);
  const entry = entries && (entries[env['DOCKER_HOST'] || DOCKER_HOST] ?? entries['default'] ?? {});
  const read = table(entry);
  if (read) return read;
  warn(`proxies of ${path} does not have the form that docker writes, and is ignored`);
  return {};
}

function table(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}
