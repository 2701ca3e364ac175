import { join } from 'node:path';
import { durationOf } from '../base/duration.ts';
import { KilnError, messageOf } from '../base/errors.ts';
import { DEFAULT_DOMAIN } from '../base/reference.ts';
import {
  type Certificates,
  type ErrorMaker,
  readCertificates,
  readKeypair,
  readPem,
} from './certificates.ts';
import { DEFAULTS, DOCKER_HUB, type HostConfig, type HostsConfig, type Keypair } from './hosts.ts';
import { textIfThere } from './textfile.ts';

/**
 * The registry configuration, in the form of buildkitd.toml:
 *
 *     [registry]
 *       max-age = "10m"
 *     [registry."docker.io"]
 *       mirrors = ["mirror.example.com", "cache.example.com/hub"]
 *     [registry."registry.example.com:5000"]
 *       http = true
 *       insecure = true
 *       ca = ["/etc/ssl/example.pem"]
 *       [[registry."registry.example.com:5000".keypair]]
 *         key = "/etc/ssl/me.key"
 *         cert = "/etc/ssl/me.pem"
 *
 * A `max-age` below `[registry]` is that of all registries without one of their own. A missing file
 * means that nothing is configured. Other tables are ignored, so that a
 * buildkitd.toml can be used as it is. The certificates in `certificates/HOST[:PORT]` (docker's
 * certs.d) are added; they are read when the host is first asked.
 */
export async function readHostsConfig(path: string, certificates: string): Promise<HostsConfig> {
  const { hosts, maxAge } = await parsedFile(path);
  return withCertificates(maxAge === undefined ? hosts : withAge(hosts, maxAge), certificates);
}

interface ParsedHosts {
  readonly hosts: HostsConfig;
  /** The `maxAge` of hosts that have none of their own. */
  readonly maxAge?: number | undefined;
}

async function parsedFile(path: string): Promise<ParsedHosts> {
  const text = textIfThere('the configuration', path);
  return text === undefined ? { hosts: new Map() } : await parseTables(text, path);
}

function withAge(hosts: HostsConfig, maxAge: number): HostsConfig {
  return { get: (host) => ({ maxAge, ...(hosts.get(host) ?? DEFAULTS) }) };
}

/** An unusable directory of one host causes an error for that host only. */
function withCertificates(hosts: HostsConfig, root: string): HostsConfig {
  const known = new Map<string, HostConfig | undefined>();
  return {
    get(host) {
      if (!known.has(host)) known.set(host, merged(hosts.get(host), certificatesOf(root, host)));
      return known.get(host);
    },
  };
}

function certificatesOf(root: string, host: string): readonly Certificates[] {
  const complain: ErrorMaker = (why, cause) =>
    new KilnError(
      'KILN_REGISTRY_CONFIG_INVALID',
      `the certificates for registry ${host} cannot be used: ${why}`,
      {
        place: { kind: 'path', path: root },
        cause,
      },
    );
  const names = host === DEFAULT_DOMAIN ? [host, DOCKER_HUB] : [host];
  return names.flatMap((name) => readCertificates(join(root, name), complain) ?? []);
}

function merged(
  own: HostConfig | undefined,
  certificates: readonly Certificates[],
): HostConfig | undefined {
  if (certificates.length === 0) return own;
  const { ca, keypairs = [], ...rest } = own ?? DEFAULTS;
  return {
    ...rest,
    ca: [...ca, ...certificates.flatMap((found) => found.ca)],
    keypairs: [...keypairs, ...certificates.flatMap((found) => found.keypairs)],
  };
}

/**
 * Parses the text of a configuration; `path` is for messages. CA files are read immediately. Throws
 * KILN_REGISTRY_CONFIG_INVALID.
 */
export async function parseHostsConfig(
  text: string,
  path: string,
): Promise<ReadonlyMap<string, HostConfig>> {
  return (await parseTables(text, path)).hosts;
}

async function parseTables(
  text: string,
  path: string,
): Promise<ParsedHosts & { readonly hosts: ReadonlyMap<string, HostConfig> }> {
  const invalid: ErrorMaker = (why, cause) =>
    new KilnError('KILN_REGISTRY_CONFIG_INVALID', `${path} is not valid: ${why}`, {
      place: { kind: 'path', path },
      cause,
    });
  const { parse } = await import('smol-toml');
  let parsed: Readonly<Record<string, unknown>>;
  try {
    parsed = parse(text);
  } catch (cause) {
    throw invalid(messageOf(cause).split('\n', 1)[0] ?? '', cause);
  }
  const tables = parsed['registry'] ?? {};
  if (!isTable(tables)) throw invalid('registry is not a table');
  const { [MAX_AGE]: age, ...own } = tables;
  // A table of that name is a host, as any other is.
  const hosts = isTable(age) ? tables : own;
  return {
    hosts: new Map(
      Object.entries(hosts).map(([host, table]) => [host, hostConfig(host, table, invalid)]),
    ),
    maxAge: isTable(age) ? undefined : maxAgeOf(age, 'registry', invalid),
  };
}

const MAX_AGE = 'max-age';

/** Milliseconds. The value is a number of seconds, or a text such as `10m`. */
function maxAgeOf(value: unknown, where: string, invalid: ErrorMaker): number | undefined {
  if (value === undefined) return undefined;
  const ms = typeof value === 'object' ? undefined : durationOf(String(value));
  if (ms === undefined) throw invalid(`${where}.${MAX_AGE} is not a duration such as "10m"`);
  return ms;
}

/** The keys that a table `[registry."HOST"]` may have. */
export const REGISTRY_KEYS: ReadonlySet<string> = new Set([
  'mirrors',
  'http',
  'insecure',
  'ca',
  'tlsconfigdir',
  'keypair',
  MAX_AGE,
]);

function hostConfig(host: string, table: unknown, invalid: ErrorMaker): HostConfig {
  if (!isTable(table)) throw invalid(`registry."${host}" is not a table`);
  const stray = Object.keys(table).find((key) => !REGISTRY_KEYS.has(key));
  if (stray !== undefined) throw invalid(`registry."${host}" has an unknown field ${stray}`);
  const texts = (key: string): readonly string[] => {
    const value = table[key] ?? [];
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
    throw invalid(`registry."${host}".${key} is not a list of strings`);
  };
  const flag = (key: string): boolean => {
    const value = table[key] ?? false;
    if (typeof value === 'boolean') return value;
    throw invalid(`registry."${host}".${key} is neither true nor false`);
  };
  const directories = texts('tlsconfigdir').map((directory) => {
    const found = readCertificates(directory, invalid);
    if (!found) throw invalid(`${directory} cannot be read: there is no such directory`);
    return found;
  });
  const maxAge = maxAgeOf(table[MAX_AGE], `registry."${host}"`, invalid);
  const keypairs = [
    ...ownKeypairs(host, table['keypair'], invalid),
    ...directories.flatMap((found) => found.keypairs),
  ];
  return {
    mirrors: texts('mirrors'),
    http: flag('http'),
    insecure: flag('insecure'),
    ca: [
      ...texts('ca').map((file) => readPem(file, 'CERTIFICATE', invalid)),
      ...directories.flatMap((found) => found.ca),
    ],
    ...(keypairs.length > 0 ? { keypairs } : {}),
    ...(maxAge !== undefined && { maxAge }),
  };
}

function ownKeypairs(host: string, value: unknown, invalid: ErrorMaker): Keypair[] {
  // BuildKit accepts a single table as well as a list of tables.
  const tables = value === undefined ? [] : Array.isArray(value) ? value : [value];
  return tables.map((table) => {
    const { key, cert, ...rest } = isTable(table) ? table : {};
    if (typeof key !== 'string' || typeof cert !== 'string' || Object.keys(rest).length > 0)
      throw invalid(`registry."${host}".keypair needs key and cert, each the path of a file`);
    return readKeypair({ key, cert }, invalid);
  });
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
