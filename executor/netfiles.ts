import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ProcessSpec } from './executor.ts';

/**
 * The texts that the sandbox sees as /etc/hosts and /etc/resolv.conf. They are bind-mounted and
 * never become part of the tree.
 */

const RESOLV_CONF = '/etc/resolv.conf';
/** The real servers of systemd-resolved, whose stub listens on 127.0.0.53. */
const RESOLVED_CONF = '/run/systemd/resolve/resolv.conf';
const STUB_RESOLVER = '127.0.0.53';
const PUBLIC_SERVERS = ['8.8.8.8', '8.8.4.4'];

/**
 * /etc/hosts as BuildKit writes it: the loopback names, the name of the sandbox, and one line for
 * each extra host.
 */
export function hostsText(spec: Pick<ProcessSpec, 'hostname' | 'extraHosts'>): string {
  const extra = spec.extraHosts.map(({ host, ip }) => `${ip}\t${host}\n`);
  return (
    `127.0.0.1\tlocalhost ${spec.hostname}\n` +
    '::1\tlocalhost ip6-localhost ip6-loopback\n' +
    `${extra.join('')}`
  );
}

/**
 * /etc/resolv.conf for a sandbox. With the host's network it is the host's file. With a network of
 * its own, servers that cannot be reached from there are left out: those on loopback addresses and
 * those by IPv6. When none is left, `resolver` is used, which answers for the host's servers.
 * Without a `resolver` Google's public servers are used, as with Docker.
 */
export function resolvText(
  sharesHostNetwork: boolean,
  read: (path: string) => string | undefined = readText,
  resolver?: string,
): string {
  let text = read(RESOLV_CONF) ?? '';
  if (!sharesHostNetwork && nameservers(text).join() === STUB_RESOLVER)
    text = read(RESOLVED_CONF) ?? text;
  if (sharesHostNetwork && nameservers(text).length > 0) return text;
  return reachable(text, resolver === undefined ? PUBLIC_SERVERS : [resolver]);
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function nameservers(text: string): string[] {
  return [...text.matchAll(/^[ \t]*nameserver[ \t]+(\S+)/gm)].map((match) => match[1]!);
}

function reachable(text: string, fallback: readonly string[]): string {
  const lines = text.split('\n').filter((line) => !nameservers(line).some(isOutOfReach));
  const kept = lines.join('\n').replace(/\n*$/, '\n').replace(/^\n+/, '');
  if (nameservers(kept).length > 0) return kept;
  return `${kept}${fallback.map((server) => `nameserver ${server}\n`).join('')}`;
}

function isOutOfReach(address: string): boolean {
  return isIP(address.replace(/%.*$/, '')) !== 4 || address.startsWith('127.');
}
