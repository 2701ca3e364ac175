import { type InnerClient, openInnerClient } from '../api/grpc/inner-client.ts';
import { KilnError } from '../base/errors.ts';
import { connectTo } from './connect.ts';
import { parseServerAddress, type TlsClientFiles } from './server-address.ts';

/** A server that can be called. */
export interface OpenServer extends Disposable {
  readonly client: InnerClient;
  /**
   * The error of a call, or, when the connection by a program broke, what the program says about
   * it.
   */
  explain(error: unknown): unknown;
  /** Opens it once more, when the connection has broken. */
  again(): Promise<OpenServer>;
}

export interface ConnectingOptions {
  readonly tls?: TlsClientFiles;
  /** How long connecting takes at the most, in milliseconds; 0 is no limit. */
  readonly within?: number | undefined;
  /** Ends connecting. */
  readonly signal?: AbortSignal;
}

/**
 * Opens a server of BuildKit's API. `flag` is the flag or variable that names the address. Throws
 * KILN_ADDRESS_INVALID, KILN_SERVER_UNREACHABLE and the reason of the signal.
 */
export async function openServer(
  text: string,
  flag: string,
  options: ConnectingOptions = {},
): Promise<OpenServer> {
  const { tls = {}, within, signal } = options;
  const address = parseServerAddress(text, flag, tls);
  const connection = await connectTo(address, text, flag, within, signal);
  const client = openInnerClient(connection.bytes, 'server');
  return {
    client,
    explain(error) {
      const complaint = connection.complaint();
      if (!client.closed.aborted || complaint === '') return error;
      return new KilnError('KILN_SERVER_UNREACHABLE', `cannot connect to ${text}`, {
        place: { kind: 'flag', flag },
        notes: complaint.split('\n'),
        cause: error,
      });
    },
    again: () => openServer(text, flag, options),
    [Symbol.dispose]() {
      client[Symbol.dispose]();
      connection[Symbol.dispose]();
    },
  };
}
