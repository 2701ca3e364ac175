import { realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf, KilnError } from '../base/errors.ts';
import { osError, reading, reasonOf, writing } from '../base/oserror.ts';
import { DEFAULT_DOMAIN } from '../base/reference.ts';
import { readRegularFile } from '../base/regular-file.ts';
import { brokenLink } from '../snapshotter/sys/brokenlink.ts';
import { makeDirectory } from '../snapshotter/sys/makedirectory.ts';
import { isObject, jsonOf, mapOf, record, text } from './json-fields.ts';

/** One login in `auths`. `auth` is the base64 of `user:password`. */
export interface AuthEntry {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

/**
 * The parts of docker's config.json that Kiln reads. Other fields are kept when the file is
 * written.
 */
export interface DockerConfig {
  readonly auths?: Readonly<Record<string, AuthEntry>>;
  readonly credsStore?: string;
  readonly credHelpers?: Readonly<Record<string, string>>;
  /** Proxies by the host of the engine, or `default`. Not checked here. */
  readonly proxies?: unknown;
  readonly [unknown: string]: unknown;
}

/** The key under which docker stores the login of Docker Hub, for historical reasons. */
const HUB_KEY = 'https://index.docker.io/v1/';

/** The key under which the login for `host` is stored. */
export function serverKey(host: string): string {
  return host === DEFAULT_DOMAIN ? HUB_KEY : host;
}

/** The entry whose key names exactly this host: `host`, `https://host`, `https://host/v1/`. */
export function byHost<T>(
  entries: Readonly<Record<string, T>> | undefined,
  host: string,
): T | undefined {
  for (const [key, value] of Object.entries(entries ?? {}))
    if (hostOfKey(key) === host) return value;
  return undefined;
}

/**
 * The host that a key, or the user's name of a registry, means. All names of Docker Hub mean
 * `docker.io`.
 */
export function hostOfKey(key: string): string {
  const host = key.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
  return host === 'index.docker.io' || host === 'registry-1.docker.io' ? DEFAULT_DOMAIN : host;
}

/**
 * The helper that stores the login for `host`: the helper of that host, or else the common one.
 * Undefined when the login is stored in the file itself.
 */
export function helperFor(config: DockerConfig, host: string): string | undefined {
  return byHost(config.credHelpers, host) ?? (config.credsStore || undefined);
}

/**
 * Reads the file. A file that does not exist or may not be read counts as empty; `tell` gets the
 * reason when it may not be read. Throws KILN_DOCKER_CONFIG_INVALID and KILN_FILE_UNREADABLE.
 */
export function readDockerConfig(path: string, tell?: (reason: string) => void): DockerConfig {
  return read(path, ['ENOENT', 'ENOTDIR', 'EACCES'], tell);
}

function read(
  path: string,
  empty: readonly string[],
  tell?: (reason: string) => void,
): DockerConfig {
  const invalid = (why: string) =>
    new KilnError(
      'KILN_DOCKER_CONFIG_INVALID',
      `${path} is not a valid docker configuration: ${why}`,
      {
        place: { kind: 'path', path },
        hint: 'repair or remove the file, or point DOCKER_CONFIG to another directory',
      },
    );
  let written: Buffer;
  try {
    written = readRegularFile(path);
  } catch (error) {
    if (errnoOf(error) === 'EFTYPE') throw invalid(reasonOf(error));
    if (errnoOf(error) === 'EACCES') tell?.(`${path} cannot be read: ${reasonOf(error)}`);
    const target = errnoOf(error) === 'ENOENT' ? brokenLink(path) : undefined;
    if (target !== undefined)
      tell?.(`${path} is a link to ${JSON.stringify(target)}, which does not exist`);
    if (empty.includes(errnoOf(error) ?? '')) return {};
    throw osError(error, reading("docker's configuration", path));
  }
  // The file holds logins, so no parser message may quote it.
  const parsed = jsonOf(written)?.value;
  if (!isObject(parsed)) throw invalid('it is not a JSON object');
  FIELDS(parsed, '', invalid);
  // Go writes an absent value as null.
  return Object.fromEntries(Object.entries(parsed).filter(([, value]) => value !== null));
}

const FIELDS = record({
  auths: mapOf((value, field, invalid) => {
    if (value !== null)
      record({
        auth: text,
        username: text,
        password: text,
        identitytoken: text,
        registrytoken: text,
      })(value, field, invalid);
  }),
  credsStore: text,
  credHelpers: mapOf(text),
});

/**
 * Replaces the entry of `host` in `auths`, whatever its key, by `entry`, or removes it when `entry`
 * is undefined. Everything else is kept.
 */
export function replaceAuth(path: string, host: string, entry: AuthEntry | undefined): void {
  // A file that could not be read must not be replaced.
  const config = read(path, ['ENOENT']);
  const others = Object.entries(config.auths ?? {}).filter(([key]) => hostOfKey(key) !== host);
  const auths = Object.fromEntries([
    ...others,
    ...(entry ? [[serverKey(host), entry] as const] : []),
  ]);
  writeWhole(path, `${JSON.stringify({ ...config, auths }, null, '\t')}`);
}

/**
 * Writes the file so that nobody else may read it and nobody ever sees half of it. A link to the
 * file stays a link.
 */
function writeWhole(path: string, text: string): void {
  try {
    makeDirectory(dirname(path), 0o700);
    const real = resolved(path);
    const temporary = `${real}.${process.pid}.part`;
    rmSync(temporary, { force: true });
    try {
      writeFileSync(temporary, text, { flag: 'wx', mode: 0o600, flush: true });
      renameSync(temporary, real);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  } catch (cause) {
    const hint = 'point DOCKER_CONFIG to a directory that you can write';
    const known = writing("docker's configuration", path);
    throw osError(cause, {
      ...known,
      code: 'KILN_DOCKER_CONFIG_INVALID',
      hint: { EACCES: hint, EPERM: hint, EROFS: hint },
    });
  }
}

function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
