import { type Client, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Control } from '../../api/proto/control.gen.ts';
import { type ConnectFlags, connectToServer } from './server-address.ts';

export type ControlClient = Client<typeof Control>;

/** Calls `work` with a client of the server's Control service. */
export async function withControl<T>(
  flags: ConnectFlags,
  work: (control: ControlClient) => Promise<T>,
): Promise<T> {
  const socket = await connectToServer(flags);
  const transport = createGrpcTransport({
    baseUrl: 'http://localhost',
    nodeOptions: { createConnection: () => socket },
  });
  try {
    return await work(createClient(Control, transport));
  } finally {
    socket.destroy();
  }
}
