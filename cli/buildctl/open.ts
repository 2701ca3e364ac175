import type { InnerClient } from '../../api/grpc/inner-client.ts';
import type { OpenServer } from '../../remote/open-server.ts';
import { serverError } from '../../remote/server-error.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openNamed } from './open-server.ts';
import type { ConnectFlags } from './server-address.ts';

/**
 * Calls `work` with the server that the flags name, and with a signal that aborts on Ctrl-C. Errors
 * of the server become KilnErrors.
 */
export async function withServer<T>(
  flags: ConnectFlags,
  work: (client: InnerClient, signal: AbortSignal, server: OpenServer) => Promise<T>,
): Promise<T> {
  using cancel = cancelOnSignals();
  using server = await openNamed(flags, cancel.signal);
  try {
    return await work(server.client, cancel.signal, server);
  } catch (error) {
    throw server.explain(serverError(error, () => [], cancel.signal));
  }
}
