import { KilnError } from '../base/errors.ts';
import { DEFAULT_DOMAIN } from '../base/reference.ts';

/**
 * The target of requests for one registry, as plain data. A domain with mirrors has several
 * endpoints.
 */
export interface Endpoint {
  /** Scheme, host and port. `prefix` and the paths of the distribution API are appended to it. */
  readonly origin: string;
  /** `/v2`, or `/v2/<path>` for a mirror below a path. */
  readonly prefix: string;
  /** The one host (with port) whose credentials may be used here. */
  readonly credentialHost: string;
  readonly tls: TlsPolicy;
  /** True when the host may turn out to speak plain http. Then `origin` with http is used. */
  readonly plainFallback: boolean;
  /** When this endpoint is a mirror: the domain that it mirrors. It is sent as `?ns=`. */
  readonly mirrorOf?: string;
}

export interface TlsPolicy {
  /** When false, any certificate is accepted. */
  readonly verify: boolean;
  /** CA certificates as PEM texts, in addition to the system's (and NODE_EXTRA_CA_CERTS). */
  readonly ca: readonly string[];
  /** Client certificates that may be shown when the server asks for one. */
  readonly keypairs?: readonly Keypair[];
}

/** A client certificate and its key, as PEM texts. */
export interface Keypair {
  readonly cert: string;
  readonly key: string;
}

/** The user's configuration for one registry host (see config.ts). */
export interface HostConfig {
  /** Mirrors as `host[:port][/path]`, asked in this order before the registry itself. */
  readonly mirrors: readonly string[];
  /** Use plain http. */
  readonly http: boolean;
  /** Accept any certificate. */
  readonly insecure: boolean;
  readonly ca: readonly string[];
  readonly keypairs?: readonly Keypair[];
  /** For so many milliseconds the registry is not asked again what a tag means. */
  readonly maxAge?: number;
}

/**
 * Looks up the configuration of a host (`name` or `name:port`), or undefined. A Map has this
 * interface.
 */
export type HostsConfig = Pick<ReadonlyMap<string, HostConfig>, 'get'>;

export const DEFAULTS: HostConfig = { mirrors: [], http: false, insecure: false, ca: [] };
/** docker.io is a name, not a host that speaks the registry protocol. */
export const DOCKER_HUB = 'registry-1.docker.io';

/**
 * The endpoints for `domain`, in the order they are asked. Pulls ask mirrors first; a push goes to
 * the registry itself only. A loopback host may use plain http or any certificate, like Docker's
 * default insecure registries 127.0.0.0/8 and ::1.
 */
export function endpointsOf(
  domain: string,
  purpose: 'pull' | 'push',
  config: HostsConfig,
): readonly Endpoint[] {
  const own = config.get(domain) ?? DEFAULTS;
  const mirrors =
    purpose === 'pull' ? own.mirrors.map((mirror) => mirrorEndpoint(mirror, domain, config)) : [];
  const host = domain === DEFAULT_DOMAIN ? DOCKER_HUB : domain;
  return [...mirrors, endpoint(host, '/v2', domain, own)];
}

function mirrorEndpoint(text: string, domain: string, config: HostsConfig): Endpoint {
  const bare = text.replace(/^https?:\/\//, '').replace(/\/+$/, '');
  const slash = bare.indexOf('/');
  const host = slash < 0 ? bare : bare.slice(0, slash);
  const path = slash < 0 ? '' : bare.slice(slash);
  const own = config.get(host) ?? { ...DEFAULTS, http: text.startsWith('http://') };
  return {
    ...endpoint(host, `/v2${path.replace(/^\/v2(?=\/|$)/, '')}`, host, own),
    mirrorOf: domain,
  };
}

function endpoint(
  host: string,
  prefix: string,
  credentialHost: string,
  config: HostConfig,
): Endpoint {
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
 * The TLS settings for `url`, which an endpoint named as a redirect or as its token server. The
 * configuration of a host holds for that host only, and a client certificate is shown only to the
 * endpoint itself. `ca` holds the CAs, in addition to the system's, by which another host is
 * verified.
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
    throw new KilnError(
      'KILN_REFERENCE_INVALID',
      `${JSON.stringify(host)} is not a host that can be asked`,
      { cause },
    );
  }
}

/** True for `localhost`, 127.0.0.0/8 and ::1, with or without a port. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/:\d+$/, '').toLowerCase();
  return (
    name === 'localhost' || /^127(?:\.\d{1,3}){3}$/.test(name) || name === '[::1]' || name === '::1'
  );
}
