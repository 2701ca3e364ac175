import { KilnError } from '../base/errors.ts';
import { DEFAULT_DOMAIN } from '../base/reference.ts';

/** Where the requests for one registry go. Plain data; one domain has several when there are mirrors. */
export interface Endpoint {
  /** Scheme, host and port; the paths of the distribution API are appended to `prefix`. */
  readonly origin: string;
  /** `/v2`, or `/v2/<path>` for a mirror that lives below a path. */
  readonly prefix: string;
  /** The one host (with port) whose credentials may be used here. */
  readonly credentialHost: string;
  readonly tls: TlsPolicy;
  /** The host may turn out to speak plain http; then `origin` with http is used. */
  readonly plainFallback: boolean;
  /** The domain asked for, when this endpoint is a mirror of it: sent as `?ns=`. */
  readonly mirrorOf?: string;
}

export interface TlsPolicy {
  /** False: any certificate is accepted. */
  readonly verify: boolean;
  /** PEM texts, in addition to the system's (and NODE_EXTRA_CA_CERTS). */
  readonly ca: readonly string[];
  /** What the server may be shown when it asks who we are. */
  readonly keypairs?: readonly Keypair[];
}

/** A client certificate and its key, as PEM texts. */
export interface Keypair {
  readonly cert: string;
  readonly key: string;
}

/** What the user configured for one registry host (see config.ts). */
export interface HostConfig {
  /** `host[:port][/path]`, asked in this order before the registry itself. */
  readonly mirrors: readonly string[];
  /** Speak plain http. */
  readonly http: boolean;
  /** Accept any certificate. */
  readonly insecure: boolean;
  readonly ca: readonly string[];
  readonly keypairs?: readonly Keypair[];
}

/** What is configured for a host (`name` or `name:port`), or undefined. A Map is one. */
export type HostsConfig = Pick<ReadonlyMap<string, HostConfig>, 'get'>;

export const DEFAULTS: HostConfig = { mirrors: [], http: false, insecure: false, ca: [] };
/** docker.io is a name, not a host that speaks the registry protocol. */
export const DOCKER_HUB = 'registry-1.docker.io';

/**
 * The endpoints for `domain`, in order. Pulls ask mirrors first; a push goes to the registry itself only.
 * A loopback host may speak plain http or use any certificate (as Docker's default insecure registries 127.0.0.0/8 and ::1).
 */
export function endpointsOf(domain: string, purpose: 'pull' | 'push', config: HostsConfig): readonly Endpoint[] {
  const own = config.get(domain) ?? DEFAULTS;
  const mirrors = purpose === 'pull' ? own.mirrors.map((mirror) => mirrorEndpoint(mirror, domain, config)) : [];
  const host = domain === DEFAULT_DOMAIN ? DOCKER_HUB : domain;
  return [...mirrors, endpoint(host, '/v2', domain, own)];
}

function mirrorEndpoint(text: string, domain: string, config: HostsConfig): Endpoint {
  const bare = text.replace(/^https?:\/\//, '').replace(/\/+$/, '');
  const slash = bare.indexOf('/');
  const host = slash < 0 ? bare : bare.slice(0, slash);
  const path = slash < 0 ? '' : bare.slice(slash);
  const own = config.get(host) ?? { ...DEFAULTS, http: text.startsWith('http://') };
  return { ...endpoint(host, `/v2${path.replace(/^\/v2(?=\/|$)/, '')}`, host, own), mirrorOf: domain };
}

function endpoint(host: string, prefix: string, credentialHost: string, config: HostConfig): Endpoint {
  const loopback = isLoopback(host);
  const origin = originOf(config.http ? 'http' : 'https', host);
  return {
    origin,
    prefix,
    credentialHost,
    tls: {
      verify: !config.insecure && (!loopback || config.ca.length > 0),
      ca: config.ca,
      ...(config.keypairs ? { keypairs: config.keypairs } : {}),
    },
    plainFallback: !config.http && (loopback || config.insecure),
  };
}

/**
 * How to speak TLS with `url`, which an endpoint named: a redirect, or its token server. What is configured for a host holds for that host
 * only, and a client certificate is shown to nobody but the endpoint itself. `ca` is what another host is believed by, besides the system's.
 */
export function tlsTowards(url: URL, endpoint: Endpoint, ca: readonly string[] = []): TlsPolicy {
  const own = new URL(endpoint.origin);
  if (url.host === own.host) return endpoint.tls;
  const { verify, ca: trusted } = endpoint.tls;
  return url.hostname === own.hostname ? { verify, ca: trusted } : { verify: true, ca };
}

function originOf(scheme: 'http' | 'https', host: string): string {
  try {
    return new URL(`${scheme}://${host}`).origin;
  } catch (cause) {
    throw new KilnError('KILN_REFERENCE_INVALID', `${JSON.stringify(host)} is not a host that can be asked`, { cause });
  }
}

/** True for `localhost`, 127.0.0.0/8 and ::1, with or without a port. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/:\d+$/, '').toLowerCase();
  return name === 'localhost' || /^127(?:\.\d{1,3}){3}$/.test(name) || name === '[::1]' || name === '::1';
}
