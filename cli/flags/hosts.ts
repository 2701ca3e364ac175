import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { KilnError } from '../../base/errors.ts';
import type { BuildRequest } from '../../builder/request.ts';
import { flagError } from '../flag-error.ts';

type ExtraHost = BuildRequest['extraHosts'][number];

/**
 * Parses a value of `--add-host` as buildx does: `name=address` or `name:address`. An IPv6 address
 * may be in brackets. The address `host-gateway` means this host. `gateway` returns the IP address
 * by which steps reach it. Throws KILN_FLAG_VALUE.
 */
export function parseExtraHost(
  spec: string,
  gateway: () => string | undefined = addressOfHost,
): ExtraHost {
  const divider = spec.includes('=') ? spec.indexOf('=') : spec.indexOf(':');
  const host = spec.slice(0, Math.max(0, divider));
  const address = spec.slice(divider + 1);
  if (divider < 0 || host === '' || address === '') throw wrong(spec, 'it is not NAME:ADDRESS');
  // The name becomes a part of a line in /etc/hosts.
  if (!/^[^\s#\p{Cc}]+$/u.test(host))
    throw wrong(spec, `${JSON.stringify(host)} is not a host name`);
  if (address === 'host-gateway') return { host, ip: gateway() ?? noGateway(spec) };
  const ip = /^\[(.+)\]$/.exec(address)?.[1] ?? address;
  // An address with a zone, such as fe80::1%eth0, is valid only on this host.
  if (isIP(ip) === 0 || ip.includes('%'))
    throw wrong(spec, `${JSON.stringify(address)} is not an IP address`);
  return { host, ip };
}

/** The values of `--network` that shell completion offers. */
export const NETWORK_MODES: readonly string[] = ['default', 'none', 'host'];

/** Parses `--network` of `kiln build` and `kiln run`. Throws KILN_FLAG_VALUE. */
export function parseNetwork(value = ''): BuildRequest['network'] {
  if (value === '' || value === 'default' || value === 'bridge') return 'default';
  if (value === 'none' || value === 'host') return value;
  throw flagError(
    '--network',
    `network mode ${JSON.stringify(value)} is not supported`,
    'use default, none or host',
  );
}

/**
 * Returns the IPv4 address of the interface with the default route, else the first one that is not
 * a loopback address. Steps have no IPv6.
 */
function addressOfHost(): string | undefined {
  const { [defaultInterface() ?? '']: first = [], ...others } = networkInterfaces();
  const addresses = [first, ...Object.values(others)].flatMap((found) => found ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
}

/** Returns the name of the interface with the default route. */
function defaultInterface(): string | undefined {
  try {
    return /^(\S+)\t00000000\t/m.exec(readFileSync('/proc/net/route', 'latin1'))?.[1];
  } catch {
    return undefined;
  }
}

function noGateway(spec: string): never {
  throw wrong(
    spec,
    'this host has no address that steps can reach',
    'write an IP address instead of host-gateway',
  );
}

function wrong(
  spec: string,
  why: string,
  hint = 'write NAME:ADDRESS, such as db:10.0.0.5, db=::1 or db:host-gateway',
): KilnError {
  return flagError('--add-host', `--add-host ${JSON.stringify(spec)} is not valid: ${why}`, hint);
}
