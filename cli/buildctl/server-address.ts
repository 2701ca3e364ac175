import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import type { TlsClientFiles } from '../../remote/server-address.ts';
import { buildkitSocket, kilnSocket } from '../daemon/default-socket.ts';

/** The flags of buildctl that say how to reach the server. */
export interface ConnectFlags {
  /** Show where errors were made. */
  readonly debug?: boolean;
  readonly addr?: string;
  readonly tlsservername?: string;
  readonly tlscacert?: string;
  readonly tlscert?: string;
  readonly tlskey?: string;
  readonly tlsdir?: string;
  /** In seconds; 0 is no limit. */
  readonly timeout?: string;
  readonly wait?: boolean;
}

/** The flag that errors about the address name. */
export const ADDRESS_FLAG = '--addr';

/**
 * Returns the address of the server: the flag, else BUILDKIT_HOST, else BuildKit's socket, or
 * Kiln's when only that one exists.
 */
export function serverAddress({ addr }: ConnectFlags): string {
  const named = addr ?? process.env['BUILDKIT_HOST'];
  if (named) return named;
  const sockets = [buildkitSocket(), kilnSocket()];
  return `unix://${sockets.find(existsSync) ?? sockets[0]}`;
}

/** Returns the files for TLS that the flags name. Throws KILN_USAGE for two ways at once. */
export function tlsFiles(flags: ConnectFlags): TlsClientFiles {
  const { tlsdir, tlscacert, tlscert, tlskey, tlsservername: servername } = flags;
  if (tlsdir === undefined) return { cacert: tlscacert, cert: tlscert, key: tlskey, servername };
  if ((tlscacert ?? tlscert ?? tlskey) !== undefined)
    throw new KilnError('KILN_USAGE', '--tlsdir and other files for TLS cannot be used together', {
      place: { kind: 'flag', flag: '--tlsdir' },
      exitCode: 2,
    });
  const file = (name: string) => join(tlsdir, name);
  return { cacert: file('ca.pem'), cert: file('cert.pem'), key: file('key.pem'), servername };
}
