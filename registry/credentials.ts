import { readFileSync } from 'node:fs';
import { errnoOf, KilnError, messageOf } from '../base/errors.ts';
import { DEFAULT_DOMAIN } from '../base/reference.ts';
import { printable } from './failures.ts';

/** A login for one registry host. An identity token is an OAuth2 refresh token. */
export type Credential =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'identity'; readonly token: string }
  /** A ready bearer token. */
  | { readonly kind: 'registry'; readonly token: string };

/** Answers the login for exactly this host (with port), or undefined for anonymous access. */
export type CredentialSource = (host: string, signal: AbortSignal) => Promise<Credential | undefined>;

export const anonymous: CredentialSource = async () => undefined;

/** Where docker keeps the login of Docker Hub, for historical reasons. */
const HUB_KEY = 'https://index.docker.io/v1/';
const HELPER_LIMIT = 64 << 10;

interface AuthEntry {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

interface DockerConfig {
  readonly auths?: Readonly<Record<string, AuthEntry>>;
  readonly credsStore?: string;
  readonly credHelpers?: Readonly<Record<string, string>>;
}

/**
 * Logins from docker's `config.json` at `path` (none when there is no such file): `credHelpers` for the host, then `credsStore`,
 * then `auths`. Helpers are `docker-credential-<name>` programs found on `env.PATH`. The file is read at the first question.
 */
export function dockerCredentials(path: string, env: Readonly<Record<string, string | undefined>>): CredentialSource {
  let config: DockerConfig | undefined;
  const answers = new Map<string, Promise<Credential | undefined>>();
  return (host, signal) => {
    config ??= readConfig(path);
    let answer = answers.get(host);
    if (!answer) {
      answer = lookUp(config, host, env, signal);
      answers.set(host, answer);
      answer.catch(() => answers.delete(host));
    }
    return answer;
  };
}

function readConfig(path: string): DockerConfig {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR' || errnoOf(error) === 'EACCES') return {};
    throw error;
  }
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) return parsed as DockerConfig;
    throw new TypeError('it is no object');
  } catch (cause) {
    throw new KilnError('KILN_DOCKER_CONFIG_INVALID', `${path} is no valid docker configuration: ${messageOf(cause)}`, {
      place: { kind: 'path', path },
      hint: 'repair or remove the file, or point DOCKER_CONFIG to another directory',
      cause,
    });
  }
}

async function lookUp(
  config: DockerConfig,
  host: string,
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<Credential | undefined> {
  const server = host === DEFAULT_DOMAIN ? HUB_KEY : host;
  const helper = byHost(config.credHelpers, host);
  if (helper !== undefined) return askHelper(helper, server, env, signal);
  const stored = config.credsStore ? await askHelper(config.credsStore, server, env, signal) : undefined;
  return stored ?? fromEntry(byHost(config.auths, host), host);
}

/** The entry whose key names exactly this host: `host`, `https://host`, `https://host/v1/`. */
function byHost<T>(entries: Readonly<Record<string, T>> | undefined, host: string): T | undefined {
  for (const [key, value] of Object.entries(entries ?? {})) if (hostOfKey(key) === host) return value;
  return undefined;
}

function hostOfKey(key: string): string {
  const host = key.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
  return host === 'index.docker.io' ? DEFAULT_DOMAIN : host;
}

function fromEntry(entry: AuthEntry | undefined, host: string): Credential | undefined {
  if (!entry) return undefined;
  if (entry.registrytoken) return { kind: 'registry', token: entry.registrytoken };
  if (entry.identitytoken) return { kind: 'identity', token: entry.identitytoken };
  if (entry.username && entry.password) return { kind: 'basic', username: entry.username, password: entry.password };
  if (!entry.auth) return undefined;
  const decoded = Buffer.from(entry.auth, 'base64').toString().replace(/\0+$/, '');
  const colon = decoded.indexOf(':');
  if (colon < 1) {
    throw new KilnError('KILN_DOCKER_CONFIG_INVALID', `the login stored for ${host} in docker's config.json is damaged`, {
      hint: `docker login ${host}`,
    });
  }
  return { kind: 'basic', username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}

/** The protocol of docker-credential-helpers: the server on stdin, a JSON document on stdout. Its output never goes into a message. */
async function askHelper(
  name: string,
  server: string,
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<Credential | undefined> {
  const program = `docker-credential-${name}`;
  const failed = (why: string, cause?: unknown) =>
    new KilnError('KILN_CREDENTIAL_HELPER', `${program}, which docker's config.json names, ${why}`, {
      hint: `install ${program}, or remove it from credsStore and credHelpers`,
      cause,
    });
  // A name with a slash would run a program from anywhere.
  if (!/^[\w.-]+$/.test(name)) throw failed('has no valid name');
  const { code, stdout } = await runHelper(program, server, env, signal).catch((error: unknown) => {
    throw failed(errnoOf(error) === 'ENOENT' ? 'is not on PATH' : `cannot be run: ${messageOf(error)}`, error);
  });
  if (code !== 0) {
    if (/credentials not found|no credentials/i.test(stdout)) return undefined;
    throw failed(`failed: ${printable(stdout) || `exit code ${code}`}`);
  }
  const { Username: username, Secret: secret } = parseAnswer(stdout, failed);
  if (username === '<token>') return { kind: 'identity', token: secret };
  return username === '' ? undefined : { kind: 'basic', username, password: secret };
}

function parseAnswer(stdout: string, failed: (why: string) => KilnError): { Username: string; Secret: string } {
  let answer: { Username?: unknown; Secret?: unknown };
  try {
    answer = JSON.parse(stdout);
  } catch {
    throw failed('answered no JSON document');
  }
  if (typeof answer?.Username !== 'string' || typeof answer.Secret !== 'string')
    throw failed('answered without Username and Secret');
  return { Username: answer.Username, Secret: answer.Secret };
}

async function runHelper(
  program: string,
  input: string,
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<{ code: number | null; stdout: string }> {
  const { spawn } = await import('node:child_process');
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['get'], { env: { ...env }, stdio: ['pipe', 'pipe', 'ignore'], signal, timeout: 30_000 });
    let stdout = '';
    child.on('error', reject);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (stdout.length < HELPER_LIMIT) stdout += text;
    });
    child.on('close', (code) => resolve({ code, stdout }));
    // A helper that does not read its input is no failure of ours.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
