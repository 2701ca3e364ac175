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

/**
 * Opens a server of BuildKit's API. `flag` is the flag or variable that names the address.
 * `within` limits how long connecting takes, in milliseconds; 0 is no limit. Throws
 * KILN_ADDRESS_INVALID and KILN_SERVER_UNREACHABLE.
 */
export async function openServer(
  text: string,
  flag: string,
  tls: TlsClientFiles = {},
  within?: number,
): Promise<OpenServer> {
  const connection = await connectTo(parseServerAddress(text, flag, tls), text, flag, within);
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
    again: () => openServer(text, flag, tls, within),
    [Symbol.dispose]() {
      client[Symbol.dispose]();
      connection[Symbol.dispose]();
    },
  };
}
