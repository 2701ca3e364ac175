import { BlockList, isIP } from 'node:net';
import { isLoopback } from './hosts.ts';

/**
 * The proxy settings of the environment, as curl and Go read them (lower-case names win). Parsed
 * once, by the CLI.
 */
export interface ProxySettings {
  readonly http?: string | undefined;
  readonly https?: string | undefined;
  /**
   * Hosts to connect to directly: names, `.suffix`, addresses, CIDR blocks, each with an optional
   * port. `*` means all hosts.
   */
  readonly none: readonly string[];
}

export const NO_PROXIES: ProxySettings = { none: [] };

/** Reads HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY from `env`. */
export function proxySettings(env: Readonly<Record<string, string | undefined>>): ProxySettings {
  const read = (name: string) => env[name.toLowerCase()] || env[name] || undefined;
  const all = read('ALL_PROXY');
  return {
    http: read('HTTP_PROXY') ?? all,
    https: read('HTTPS_PROXY') ?? all,
    none: (read('NO_PROXY') ?? '').split(/[\s,]+/).filter((entry) => entry !== ''),
  };
}

/**
 * The proxy for a request to `url`, or undefined to connect directly. A loopback host is never
 * reached through a proxy.
 */
export function proxyFor(url: URL, settings: ProxySettings): string | undefined {
  const proxy = url.protocol === 'https:' ? settings.https : settings.http;
  if (!proxy || isLoopback(url.host)) return undefined;
  if (settings.none.some((entry) => matchesNoProxy(entry, url))) return undefined;
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
}

function matchesNoProxy(entry: string, url: URL): boolean {
  if (entry === '*') return true;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (entry.includes('/')) return inBlock(entry, host);
  const [, name = '', port] = /^(\[[^\]]*\]|[^:]*(?::[^:]*:[^:]*)*)(?::(\d+))?$/.exec(entry) ?? [];
  const actualPort = url.port || (url.protocol === 'https:' ? '443' : '80');
  if (port && port !== actualPort) return false;
  const bare = name
    .replace(/^\[|\]$/g, '')
    .replace(/^\*/, '')
    .toLowerCase();
  if (bare.startsWith('.')) return host.endsWith(bare);
  return bare !== '' && (host === bare || (isIP(bare) === 0 && host.endsWith(`.${bare}`)));
}

function inBlock(cidr: string, host: string): boolean {
  const family = isIP(host);
  const [net = '', bits = ''] = cidr.split('/');
  if (
    family === 0 ||
    isIP(net) !== family ||
    !/^\d{1,3}$/.test(bits) ||
    Number(bits) > (family === 4 ? 32 : 128)
  )
    return false;
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(net, Number(bits), type);
  return list.check(host, type);
}
