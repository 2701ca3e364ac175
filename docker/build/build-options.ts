import { KilnError } from '../../base/errors.ts';
import { isSet } from '../http/docker-request.ts';

/** The options of a frontend, by BuildKit's names. */
type Options = Record<string, string>;

/** Parameters whose values are passed on as they are: Docker's name, and BuildKit's. */
const SAME: readonly (readonly [string, string])[] = [
  ['target', 'target'],
  ['platform', 'platform'],
  ['cgroupparent', 'cgroup-parent'],
  ['cpusetcpus', 'cpuset-cpus'],
  ['cpusetmems', 'cpuset-mems'],
];

/** The same of numbers. Clients send 0 for a limit that is not given. */
const NUMBERS: readonly (readonly [string, string])[] = [
  ['shmsize', 'shm-size'],
  ['memory', 'memory'],
  ['memswap', 'memory-swap'],
  ['cpushares', 'cpu-shares'],
  ['cpuperiod', 'cpu-period'],
  ['cpuquota', 'cpu-quota'],
];

/** Networks that are the builder's own. */
const DEFAULT_NETWORKS: readonly string[] = ['', 'default', 'bridge'];

/**
 * Translates the parameters of `POST /build` to the options of the Dockerfile frontend, as Docker's
 * engine does for BuildKit. Throws KILN_REQUEST_INVALID and KILN_REQUEST_UNSUPPORTED, which name
 * the parameter.
 */
export function frontendOptions(query: URLSearchParams): Options {
  const options: Options = {};
  for (const [name, option] of SAME) {
    const value = query.get(name);
    if (value) options[option] = value;
  }
  for (const [name, option] of NUMBERS) {
    const value = query.get(name);
    if (value && value !== '0') options[option] = value;
  }
  options['filename'] = query.get('dockerfile') || 'Dockerfile';
  if (isSet(query, 'nocache')) options['no-cache'] = '';
  if (isSet(query, 'pull')) options['image-resolve-mode'] = 'pull';
  const network = query.get('networkmode') ?? '';
  if (!DEFAULT_NETWORKS.includes(network)) options['force-network-mode'] = networkOf(network);
  for (const [name, value] of texts(query, 'buildargs')) options[`build-arg:${name}`] = value;
  for (const [name, value] of texts(query, 'labels')) options[`label:${name}`] = value;
  const hosts = query.getAll('extrahosts').flatMap((value) => value.split(','));
  if (hosts.some(Boolean))
    options['add-hosts'] = hosts.map((host) => host.replace(/^([^:=]+):/, '$1=')).join(',');
  const ulimits = ulimitsOf(query);
  if (ulimits.length > 0) options['ulimit'] = ulimits.join(',');
  const caches = names(query, 'cachefrom');
  if (caches.length > 0) options['cache-from'] = caches.join(',');
  const remote = query.get('remote') ?? '';
  if (remote !== '' && remote !== CLIENT_SESSION) options['context'] = remote;
  return options;
}

/** What `remote` says when the client lends its directories in a session. */
export const CLIENT_SESSION = 'client-session';

/** The entitlements that the parameters ask for. */
export function askedEntitlements(query: URLSearchParams): readonly string[] {
  return query.get('networkmode') === 'host' ? ['network.host'] : [];
}

function networkOf(mode: string): string {
  if (mode === 'host' || mode === 'none') return mode;
  throw new KilnError(
    'KILN_REQUEST_UNSUPPORTED',
    `the network mode ${JSON.stringify(mode)} is not supported: Kiln has no networks of containers`,
    { hint: 'use default, host or none', exitCode: 2 },
  );
}

function ulimitsOf(query: URLSearchParams): string[] {
  const value = parsed(query, 'ulimits') ?? [];
  if (!Array.isArray(value)) throw invalid('ulimits');
  return value.map((limit: unknown) => {
    const { Name, Soft, Hard } = (limit ?? {}) as Record<string, unknown>;
    if (typeof Name !== 'string' || typeof Soft !== 'number' || typeof Hard !== 'number')
      throw invalid('ulimits');
    return `${Name}=${Soft}:${Hard}`;
  });
}

/** A parameter that is a JSON object of texts. A null is a variable that the client has not set. */
function texts(query: URLSearchParams, name: string): [string, string][] {
  const value = parsed(query, name) ?? {};
  if (typeof value !== 'object' || Array.isArray(value)) throw invalid(name);
  return Object.entries(value).flatMap(([key, text]: [string, unknown]): [string, string][] => {
    if (text === null) return [];
    if (typeof text !== 'string') throw invalid(name);
    return [[key, text]];
  });
}

/** A parameter that is a JSON list of texts. */
function names(query: URLSearchParams, name: string): readonly string[] {
  const value = parsed(query, name) ?? [];
  if (!Array.isArray(value) || value.some((one) => typeof one !== 'string')) throw invalid(name);
  return value as string[];
}

/** The value of a parameter that is JSON. */
export function parsed(query: URLSearchParams, name: string): object | undefined {
  const text = query.get(name) ?? '';
  if (text === '') return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (value === null) return undefined;
    if (typeof value === 'object') return value;
  } catch {
    // Said below.
  }
  throw invalid(name);
}

function invalid(name: string): KilnError {
  return new KilnError(
    'KILN_REQUEST_INVALID',
    `the parameter ${name} does not have its JSON form`,
    {
      exitCode: 2,
    },
  );
}
