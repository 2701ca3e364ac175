import { KilnError } from '../base/errors.ts';
import { type DockerConfig, readDockerConfig } from '../registry/docker-config.ts';

/** Fields of one entry of `proxies`, and the build arguments that they become. */
const FIELDS = {
  httpProxy: 'HTTP_PROXY',
  httpsProxy: 'HTTPS_PROXY',
  ftpProxy: 'FTP_PROXY',
  noProxy: 'NO_PROXY',
  allProxy: 'ALL_PROXY',
} as const;

/** Where docker's client asks when nothing tells it otherwise: the key of its own entry. */
const DOCKER_HOST = 'unix:///var/run/docker.sock';

/**
 * `proxies` of docker's config.json as build arguments, as docker has them: the entry for
 * DOCKER_HOST, else `default`; each name in upper and lower case. What `given` has in either case
 * goes before. A file that cannot be used is told, and is none: no build needs it.
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
      warn(`proxies of ${path}: ${name} is not a text, and counts as not given`);
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
  warn(`proxies of ${path} is not what docker writes, and is not used`);
  return {};
}

function table(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}
