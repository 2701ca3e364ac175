import { isAbsolute } from 'node:path';
import { KilnError } from '../../base/errors.ts';

/** Where a server listens. */
export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** Linux takes no longer path as the address of a socket. */
const MAX_SOCKET_PATH = 107;

/**
 * Parses `unix:///run/kiln/buildkitd.sock` or `tcp://127.0.0.1:1234`. Throws KILN_ADDRESS_INVALID.
 */
export function parseListenAddress(text: string): ListenAddress {
  const [, scheme, rest = ''] = /^(\w+):\/\/(.*)$/.exec(text) ?? [];
  if (scheme === 'unix') {
    if (!isAbsolute(rest)) throw invalid(text, 'the path of a socket is absolute');
    if (Buffer.byteLength(rest) > MAX_SOCKET_PATH)
      throw invalid(text, `the path of a socket has at most ${MAX_SOCKET_PATH} bytes`);
    return { kind: 'unix', path: rest };
  }
  if (scheme === 'tcp') {
    const [, host = '', port] = /^(.*):(\d{1,5})$/.exec(rest) ?? [];
    if (port === undefined || Number(port) > 65_535) throw invalid(text, 'it names no port');
    return { kind: 'tcp', host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
  }
  throw invalid(text, 'its scheme is neither unix nor tcp');
}

/** True when only programs of this host can connect. */
export function isLocalAddress(address: ListenAddress): boolean {
  return address.kind === 'unix' || /^(127\.\d+\.\d+\.\d+|::1|localhost)$/.test(address.host);
}

function invalid(text: string, why: string): KilnError {
  return new KilnError(
    'KILN_ADDRESS_INVALID',
    `${JSON.stringify(text)} is not an address: ${why}`,
    {
      place: { kind: 'flag', flag: '--addr' },
      hint: 'write unix:///run/kiln/buildkitd.sock or tcp://127.0.0.1:1234',
      exitCode: 2,
    },
  );
}
