import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect, isIP, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { KilnError } from '../base/errors.ts';
import { attempt, osError, reading } from '../base/oserror.ts';
import type { ServerAddress } from './server-address.ts';

/** A connection to a server, and what is known of it when it breaks. */
export interface ServerConnection extends Disposable {
  readonly bytes: Duplex;
  /** What the program of the connection has written about itself; empty for others. */
  readonly complaint: () => string;
}

/** So much of what a program complains about is shown. */
const MAX_COMPLAINT = 4_000;
/** How often a connection over a network is tried out while nothing is sent, in milliseconds. */
const KEEP_ALIVE_MS = 30_000;
/** A server that does not take the connection within this time is not there, in milliseconds. */
const CONNECT_MS = 20_000;

/**
 * Connects to a server. The other half of the connection stays open when one half ends. `text` is
 * the address, and `flag` what named it, for messages. `within` limits how long connecting takes,
 * in milliseconds; 0 is no limit. Throws KILN_SERVER_UNREACHABLE, and the reason of `signal`.
 */
export async function connectTo(
  address: ServerAddress,
  text: string,
  flag: string,
  within = CONNECT_MS,
  signal?: AbortSignal,
): Promise<ServerConnection> {
  if (address.kind === 'program') return byProgram(address.words);
  signal?.throwIfAborted();
  const socket = address.kind === 'tcp' && address.tls ? overTls(address) : plain(address);
  const end = () => void socket.destroy(new Error('it is not wanted any more'));
  signal?.addEventListener('abort', end, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      const late = () =>
        reject(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT', syscall: 'connect' }));
      socket.setTimeout(within, late);
      // A TLS connection that is not accepted breaks after `connect`.
      const ready = address.kind === 'tcp' && address.tls ? 'secureConnect' : 'connect';
      socket.once(ready, resolve).once('error', reject);
    });
    socket.setTimeout(0);
  } catch (error) {
    socket.destroy();
    signal?.throwIfAborted();
    const what = `cannot connect to ${text}`;
    const place = { kind: 'flag', flag } as const;
    const hint = `start the server: kiln serve --addr ${text.replace(/\?.*$/s, '')}`;
    throw error instanceof Error && isTlsError(error)
      ? new KilnError('KILN_SERVER_UNREACHABLE', `${what}: ${error.message}`, {
          place,
          hint: 'name the CA of the server by cacert, and the name it certifies by servername',
          cause: error,
        })
      : osError(error, { code: 'KILN_SERVER_UNREACHABLE', what, place, hint });
  } finally {
    signal?.removeEventListener('abort', end);
  }
  if (address.kind === 'tcp') socket.setKeepAlive(true, KEEP_ALIVE_MS);
  return { bytes: socket, complaint: () => '', [Symbol.dispose]: () => void socket.destroy() };
}

function plain(address: Exclude<ServerAddress, { kind: 'program' }>): Socket {
  const allowHalfOpen = true;
  return address.kind === 'unix'
    ? connect({ path: address.path, allowHalfOpen })
    : connect({ host: address.host, port: address.port, allowHalfOpen });
}

function overTls({ host, port, tls = {} }: Extract<ServerAddress, { kind: 'tcp' }>): Socket {
  const text = (what: string, path: string | undefined) =>
    path === undefined ? undefined : attempt(reading(what, path), () => readFileSync(path, 'utf8'));
  return connectTls({
    host,
    port,
    ALPNProtocols: ['h2'],
    // A name in the handshake is never an address. The certificate is held to `host` then.
    servername: tls.servername ?? (isIP(host) === 0 ? host : ''),
    ca: text('the CA', tls.cacert),
    cert: text('the certificate', tls.cert),
    key: text('the key', tls.key),
  });
}

/** Node reports what is wrong with a certificate by codes that are no errno. */
function isTlsError(error: Error & { readonly code?: unknown }): boolean {
  return typeof error.code === 'string' && /CERT|TLS|SSL|VERIFY|SIGNATURE/.test(error.code);
}

function byProgram([program, ...words]: readonly [string, ...string[]]): ServerConnection {
  const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'pipe'] });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = `${complaint}${text}`.slice(-MAX_COMPLAINT);
  });
  child.once('error', (error) => {
    complaint ||= error.message;
  });
  const bytes = new ProgramStream(child);
  return {
    bytes,
    complaint: () => complaint.trim(),
    [Symbol.dispose]() {
      bytes.destroy();
      child.kill();
    },
  };
}

/** The standard streams of a program as one. It ends with the program. */
class ProgramStream extends Duplex {
  readonly #child: ChildProcessWithoutNullStreams;

  constructor(child: ChildProcessWithoutNullStreams) {
    super();
    this.#child = child;
    child.stdout.on('data', (data: Buffer) => {
      if (!this.push(data)) child.stdout.pause();
    });
    child.stdout.on('error', () => {});
    // A program that reads no more has ended, or will.
    child.stdin.on('error', () => {});
    child.once('error', () => this.destroy());
    child.once('close', () => this.destroy());
  }

  override _read(): void {
    this.#child.stdout.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#child.stdin.write(chunk, () => done());
  }

  override _final(done: () => void): void {
    this.#child.stdin.end(() => done());
  }
}
