import type { InnerClient } from '../../api/grpc/inner-client.ts';
import { type OpenServer, openServer } from '../../remote/open-server.ts';
import { serverError } from '../../remote/server-error.ts';
import { cancelOnSignals } from '../cancel.ts';
import { ADDRESS_FLAG, type ConnectFlags, serverAddress, tlsFiles } from './server-address.ts';

/**
 * Calls `work` with the server that the flags name, and with a signal that aborts on Ctrl-C. Errors
 * of the server become KilnErrors.
 */
export async function withServer<T>(
  flags: ConnectFlags,
  work: (client: InnerClient, signal: AbortSignal, server: OpenServer) => Promise<T>,
): Promise<T> {
  using server = await openServer(serverAddress(flags), ADDRESS_FLAG, tlsFiles(flags));
  using cancel = cancelOnSignals();
  try {
    return await work(server.client, cancel.signal, server);
  } catch (error) {
    throw server.explain(serverError(error, () => [], cancel.signal));
  }
}
