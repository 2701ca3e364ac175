import { connectTo } from '../../remote/connect.ts';
import { parseServerAddress } from '../../remote/server-address.ts';
import { ADDRESS_FLAG, type ConnectFlags, serverAddress, tlsFiles } from './server-address.ts';

/**
 * `buildctl dial-stdio`: a connection to the server over standard input and output, until the
 * server closes it. buildx runs this in a container to reach the server there.
 */
export async function dialStdio(flags: ConnectFlags): Promise<number> {
  const text = serverAddress(flags);
  const address = parseServerAddress(text, ADDRESS_FLAG, tlsFiles(flags));
  using connection = await connectTo(address, text, ADDRESS_FLAG);
  const { bytes } = connection;
  process.stdin.pipe(bytes);
  bytes.pipe(process.stdout);
  // A reader that is gone has no use for the rest.
  process.stdout.on('error', () => bytes.destroy());
  await new Promise<void>((resolve, reject) => {
    bytes.once('end', resolve).once('close', resolve).once('error', reject);
  });
  process.stdin.unpipe(bytes).destroy();
  bytes.end();
  return 0;
}
