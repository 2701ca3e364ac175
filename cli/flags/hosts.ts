import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { KilnError } from '../../base/errors.ts';
import type { BuildRequest } from '../../builder/request.ts';

type ExtraHost = BuildRequest['extraHosts'][number];

/**
 * A value of `--add-host`, as buildx reads it: `name=address` or `name:address`, IPv6 with or
 * without brackets. `host-gateway` is this host: the address of its own by which others reach it,
 * asked of `gateway`.
 */
export function parseExtraHost(
  spec: string,
  gateway: () => string | undefined = addressOfHost,
): ExtraHost {
  const divider = spec.includes('=') ? spec.indexOf('=') : spec.indexOf(':');
  const host = spec.slice(0, Math.max(0, divider));
  const address = spec.slice(divider + 1);
  if (divider < 0 || host === '' || address === '') throw wrong(spec, 'it is not NAME:ADDRESS');
  // It becomes a line of /etc/hosts.
  if (!/^[^\s#\p{Cc}]+$/u.test(host))
    throw wrong(spec, `${JSON.stringify(host)} is not the name of a host`);
  if (address === 'host-gateway') return { host, ip: gateway() ?? noGateway(spec) };
  const ip = /^\[(.+)\]$/.exec(address)?.[1] ?? address;
  // A zone is of this host alone.
  if (isIP(ip) === 0 || ip.includes('%'))
    throw wrong(spec, `${JSON.stringify(address)} is not an IP address`);
  return { host, ip };
}

export const NETWORK_MODES: readonly string[] = ['default', 'none', 'host'];

/** `--network`, of a build or a run. */
export function parseNetwork(value = ''): BuildRequest['network'] {
  if (value === '' || value === 'default' || value === 'bridge') return 'default';
  if (value === 'none' || value === 'host') return value;
  throw new KilnError('KILN_FLAG_VALUE', `network mode ${JSON.stringify(value)} is not supported`, {
    place: { kind: 'flag', flag: '--network' },
    hint: 'use default, none or host',
    exitCode: 2,
  });
}

/**
 * The address of the interface that leads out, else the first one that is not loopback: IPv4, as
 * steps have that alone.
 */
function addressOfHost(): string | undefined {
  const { [outwards() ?? '']: first = [], ...others } = networkInterfaces();
  const addresses = [first, ...Object.values(others)].flatMap((found) => found ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
}

function outwards(): string | undefined {
  try {
    return /^(\S+)\t00000000\t/m.exec(readFileSync('/proc/net/route', 'latin1'))?.[1];
  } catch {
    return undefined;
  }
}

function noGateway(spec: string): never {
  throw wrong(
    spec,
    'this host has no address by which steps could reach it',
    'give an address in the place of host-gateway',
  );
}

function wrong(
  spec: string,
  why: string,
  hint = 'write NAME:ADDRESS, such as db:10.0.0.5, db=::1 or db:host-gateway',
): KilnError {
  return new KilnError(
    'KILN_FLAG_VALUE',
    `--add-host ${JSON.stringify(spec)} cannot be used: ${why}`,
    {
      place: { kind: 'flag', flag: '--add-host' },
      hint,
      exitCode: 2,
    },
  );
}
