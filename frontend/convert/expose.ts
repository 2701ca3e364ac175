import { isIP } from 'node:net';
import { KilnError } from '../../base/errors.ts';

/**
 * Parses `[ip:][host:]port[-port][/protocol]` as Docker does: the ports with their protocol,
 * `80/tcp`.
 */
export function parsePorts(spec: string): string[] {
  const parts = spec.split(':');
  const container = parts.pop() ?? '';
  const host = parts.pop() ?? '';
  const ip = parts.join(':');
  const slash = container.indexOf('/');
  const range = slash < 0 ? container : container.slice(0, slash);
  const protocol = (slash < 0 ? '' : container.slice(slash + 1)).toLowerCase() || 'tcp';
  if (range === '') throw bad(spec, 'no port is given');
  if (!['tcp', 'udp', 'sctp'].includes(protocol))
    throw bad(spec, `${protocol} is not a protocol`, 'the protocols are tcp, udp and sctp');
  if (ip !== '' && isIP(ip.replace(/^\[(.*)\]$/, '$1')) === 0)
    throw bad(spec, `${ip} is not an IP address`);
  const ports = parseRange(spec, range);
  if (host !== '') {
    const hostPorts = parseRange(spec, host);
    const sizes = [ports, hostPorts].map(([first, last]) => last - first);
    if (sizes[0] !== sizes[1] && sizes[0] !== 0)
      throw bad(spec, 'the two ranges are not of the same length');
  }
  return Array.from({ length: ports[1] - ports[0] + 1 }, (_, i) => `${ports[0] + i}/${protocol}`);
}

function parseRange(spec: string, text: string): readonly [number, number] {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = match?.[2] === undefined ? first : Number(match[2]);
  if (!match || first > 65535 || last > 65535)
    throw bad(
      spec,
      `${JSON.stringify(text)} is not a port or a range of ports`,
      match ? 'the highest port is 65535' : undefined,
    );
  if (last < first) throw bad(spec, `the range ${text} ends before it begins`);
  return [first, last];
}

function bad(
  spec: string,
  why: string,
  hint = 'write a port such as 80, a range such as 8000-8010, or either with /udp',
): KilnError {
  return new KilnError('KILN_EXPOSE', `EXPOSE ${spec}: ${why}`, { hint });
}
