import { type ConnectFlags, connectToServer } from './server-address.ts';

/**
 * `buildctl dial-stdio`: a connection to the server over standard input and output, until the
 * server closes it. buildx runs this in a container to reach the server there.
 */
export async function dialStdio(flags: ConnectFlags): Promise<number> {
  const socket = await connectToServer(flags);
  process.stdin.pipe(socket);
  socket.pipe(process.stdout);
  // A reader that is gone has no use for the rest.
  process.stdout.on('error', () => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    socket.once('end', resolve).once('close', resolve).once('error', reject);
  });
  process.stdin.unpipe(socket).destroy();
  socket.end();
  return 0;
}
