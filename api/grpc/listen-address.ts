import { isAbsolute } from 'node:path';
import { KilnError } from '../../base/errors.ts';

/** A listening socket that systemd has opened and passed to this process. */
export interface PassedSocket {
  readonly fd: number;
  readonly kind: 'unix' | 'tcp';
}

/** Where a server listens. */
export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'fd'; readonly socket: PassedSocket };

/** Linux takes no longer path as the address of a socket. */
const MAX_SOCKET_PATH = 107;

/**
 * Parses `unix:///run/kiln/buildkitd.sock`, `tcp://127.0.0.1:1234` or `fd://`. The last means all
 * of the sockets that systemd has passed, and `fd://3` the one with that descriptor. Throws
 * KILN_ADDRESS_INVALID at `flag`.
 */
export function parseListenAddress(
  text: string,
  passed: readonly PassedSocket[],
  flag = '--addr',
): readonly ListenAddress[] {
  const [, scheme, rest = ''] = /^(\w+):\/\/(.*)$/.exec(text) ?? [];
  if (scheme === 'unix') {
    if (!isAbsolute(rest)) throw invalid(text, 'the path of a socket is absolute', flag);
    if (Buffer.byteLength(rest) > MAX_SOCKET_PATH)
      throw invalid(text, `the path of a socket has at most ${MAX_SOCKET_PATH} bytes`, flag);
    return [{ kind: 'unix', path: rest }];
  }
  if (scheme === 'tcp') {
    const [, host = '', port] = /^(.*):(\d{1,5})$/.exec(rest) ?? [];
    if (port === undefined || Number(port) > 65_535) throw invalid(text, 'it names no port', flag);
    return [{ kind: 'tcp', host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) }];
  }
  if (scheme === 'fd') {
    const chosen = passed.filter(({ fd }) => rest === '' || rest === '*' || rest === String(fd));
    if (chosen.length === 0)
      throw new KilnError(
        'KILN_ADDRESS_UNUSABLE',
        `${text} names a socket that systemd has opened, and there is none`,
        {
          place: { kind: 'flag', flag },
          hint: 'start the socket unit: systemctl enable --now kiln.socket',
        },
      );
    return chosen.map((socket) => ({ kind: 'fd', socket }));
  }
  throw invalid(text, 'its scheme is not unix, tcp or fd', flag);
}

/** True when only programs of this host can connect. */
export function isLocalAddress(address: ListenAddress): boolean {
  if (address.kind === 'fd') return address.socket.kind === 'unix';
  return address.kind === 'unix' || /^(127\.\d+\.\d+\.\d+|::1|localhost)$/.test(address.host);
}

/** True when connections come over a network, so that TLS applies to them. */
export function isNetworkAddress(address: ListenAddress): boolean {
  return address.kind === 'tcp' || (address.kind === 'fd' && address.socket.kind === 'tcp');
}

/** Returns the address as the user writes it. */
export function listenAddressText(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix://${address.path}`;
  if (address.kind === 'fd') return `fd://${address.socket.fd}`;
  const { host, port } = address;
  return `tcp://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function invalid(text: string, why: string, flag: string): KilnError {
  return new KilnError(
    'KILN_ADDRESS_INVALID',
    `${JSON.stringify(text)} is not an address: ${why}`,
    {
      place: { kind: 'flag', flag },
      hint: 'write unix:///run/kiln/buildkitd.sock or tcp://127.0.0.1:1234',
      exitCode: 2,
    },
  );
}
