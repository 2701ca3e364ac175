import { existsSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { KilnError } from '../../base/errors.ts';
import { attempt, osError, reading } from '../../base/oserror.ts';
import { readRegularFile } from '../../base/regular-file.ts';
import { buildkitSocket, kilnSocket } from '../daemon/default-socket.ts';

/** The flags of buildctl that say how to reach the server. */
export interface ConnectFlags {
  readonly addr?: string;
  readonly tlsservername?: string;
  readonly tlscacert?: string;
  readonly tlscert?: string;
  readonly tlskey?: string;
}

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

/**
 * Connects to the server. The other half of the connection stays open when one half ends. Throws
 * KILN_SERVER_UNREACHABLE, and KILN_ADDRESS_INVALID for an address of another form.
 */
export async function connectToServer(flags: ConnectFlags): Promise<Socket> {
  const address = serverAddress(flags);
  const [, path, host, port] = /^(?:unix:\/\/(\/.*)|tcp:\/\/(.+):(\d+))$/.exec(address) ?? [];
  if (path === undefined && host === undefined)
    throw new KilnError('KILN_ADDRESS_INVALID', `${JSON.stringify(address)} is not an address`, {
      place: { kind: 'flag', flag: '--addr' },
      hint: 'write unix:///run/buildkit/buildkitd.sock or tcp://HOST:PORT',
      exitCode: 2,
    });
  const to = path === undefined ? { host: unbracketed(host ?? ''), port: Number(port) } : { path };
  const socket = path === undefined && usesTls(flags) ? overTls(to, flags) : connect(withHalf(to));
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject);
    });
  } catch (error) {
    throw osError(error, {
      code: 'KILN_SERVER_UNREACHABLE',
      what: `cannot connect to ${address}`,
      place: { kind: 'flag', flag: '--addr' },
      hint: `start the server: kiln serve --addr ${address}`,
    });
  }
  return socket;
}

function withHalf<T extends object>(to: T): T & { readonly allowHalfOpen: true } {
  return { ...to, allowHalfOpen: true };
}

function unbracketed(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}

function usesTls({ tlscacert, tlscert, tlskey }: ConnectFlags): boolean {
  return (tlscacert ?? tlscert ?? tlskey) !== undefined;
}

function overTls(to: { host?: string; port?: number }, flags: ConnectFlags): Socket {
  const bytes = (what: string, path: string | undefined) =>
    path === undefined ? undefined : attempt(reading(what, path), () => readRegularFile(path));
  return connectTls({
    ...to,
    ALPNProtocols: ['h2'],
    servername: flags.tlsservername ?? to.host ?? '',
    ca: bytes('the CA', flags.tlscacert),
    cert: bytes('the certificate', flags.tlscert),
    key: bytes('the key', flags.tlskey),
  });
}
