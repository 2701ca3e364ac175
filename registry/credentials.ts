import { KilnError } from '../base/errors.ts';
import { DEFAULT_DOMAIN } from '../base/reference.ts';
import { credentialHelper } from './credential-helper.ts';
import {
  type AuthEntry,
  byHost,
  type DockerConfig,
  readDockerConfig,
  serverKey,
} from './docker-config.ts';

/** A login for one registry host. An identity token is an OAuth2 refresh token. */
export type Credential =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'identity'; readonly token: string }
  /** A bearer token that is sent as it is. */
  | { readonly kind: 'registry'; readonly token: string }
  /** The login stays with its owner, who gets tokens with it. */
  | {
      readonly kind: 'owner';
      /** Gets a token. Rejects when the token server refuses. */
      readonly token: (asked: TokenQuestion, signal: AbortSignal) => Promise<BearerToken>;
      /** The login itself, for a registry that takes no tokens. */
      readonly login: (signal: AbortSignal) => Promise<Credential | undefined>;
    };

/** What a token is asked for: its server, and what it is to allow there. */
export interface TokenQuestion {
  readonly realm: string;
  readonly service: string | undefined;
  readonly scopes: readonly string[];
}

export interface BearerToken {
  readonly token: string;
  /** Seconds. */
  readonly lifetime: number;
}

/** Returns the login for exactly this host (with port), or undefined for anonymous access. */
export type CredentialSource = (
  host: string,
  signal: AbortSignal,
) => Promise<Credential | undefined>;

type Environment = Readonly<Record<string, string | undefined>>;

export const anonymous: CredentialSource = async () => undefined;

/**
 * Logins from docker's `config.json` at `path`. There are none when the file does not exist.
 * `credHelpers` for the host come first, then `credsStore`, then `auths`. Helpers are
 * `docker-credential-<name>` programs found on `env.PATH`. Other registries of Docker have the
 * login of Docker Hub where they have none of their own. The file is read when the first login is
 * looked up.
 */
export function dockerCredentials(path: string, env: Environment): CredentialSource {
  let read: DockerConfig | undefined;
  const answers = new Map<string, Promise<Credential | undefined>>();
  return (host, signal) => {
    const config = (read ??= readDockerConfig(path));
    let answer = answers.get(host);
    if (!answer) {
      answer = lookUp(config, host, env, signal);
      if (OF_DOCKER.has(host)) {
        const login = answer;
        answer = login.then((own) => own ?? lookUp(config, DEFAULT_DOMAIN, env, signal));
      }
      answers.set(host, answer);
      answer.catch(() => answers.delete(host));
    }
    return answer;
  };
}

/** Registries of Docker, for which the login of Docker Hub counts, unless there is one for them. */
const OF_DOCKER: ReadonlySet<string> = new Set(['dhi.io', 'registry.scout.docker.com']);

async function lookUp(
  config: DockerConfig,
  host: string,
  env: Environment,
  signal: AbortSignal,
): Promise<Credential | undefined> {
  const helper = byHost(config.credHelpers, host);
  if (helper !== undefined) return askHelper(helper, host, env, signal);
  const stored = config.credsStore
    ? await askHelper(config.credsStore, host, env, signal)
    : undefined;
  return stored ?? fromEntry(byHost(config.auths, host), host);
}

function fromEntry(entry: AuthEntry | undefined, host: string): Credential | undefined {
  if (!entry) return undefined;
  if (entry.registrytoken) return { kind: 'registry', token: entry.registrytoken };
  if (entry.identitytoken) return { kind: 'identity', token: entry.identitytoken };
  if (entry.username && entry.password)
    return { kind: 'basic', username: entry.username, password: entry.password };
  if (!entry.auth) return undefined;
  const decoded = Buffer.from(entry.auth, 'base64').toString().replace(/\0+$/, '');
  const colon = decoded.indexOf(':');
  if (colon < 1) {
    throw new KilnError(
      'KILN_DOCKER_CONFIG_INVALID',
      `the login stored for ${host} in docker's config.json is damaged`,
      {
        hint: `kiln login ${host}`,
      },
    );
  }
  return { kind: 'basic', username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}

async function askHelper(
  name: string,
  host: string,
  env: Environment,
  signal: AbortSignal,
): Promise<Credential | undefined> {
  const login = await credentialHelper(name, env).get(serverKey(host), signal);
  if (!login || login.username === '') return undefined;
  return login.username === '<token>'
    ? { kind: 'identity', token: login.secret }
    : { kind: 'basic', username: login.username, password: login.secret };
}
