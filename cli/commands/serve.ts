import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { isLocalAddress, parseListenAddress } from '../../api/grpc/listen-address.ts';
import { serve } from '../../api/serve.ts';
import { KilnError, messageOf } from '../../base/errors.ts';
import { type Command, collect, newCommand, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine, stateDirectory } from '../engine.ts';
import { stderr } from '../output.ts';
import { VERSION } from '../version.ts';

export function declareCommand(): Command {
  return newCommand('serve', 'Serve the API of BuildKit, for buildx and other clients').option(
    '--addr <address>',
    'listen on this address: unix://PATH or tcp://HOST:PORT (default: a socket in /run/kiln)',
    collect,
  );
}

/** `kiln serve`: serves builds until a signal ends it. */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const { addr = [defaultAddress()] } = command.opts<{ addr?: string[] }>();
  const addresses = addr.map(parseListenAddress);
  const open = addresses.find((address) => !isLocalAddress(address));
  if (open)
    throw new KilnError(
      'KILN_ADDRESS_INVALID',
      'a server without TLS listens on addresses of this host only',
      {
        place: { kind: 'flag', flag: '--addr' },
        hint: 'listen on unix://PATH or tcp://127.0.0.1:PORT',
        exitCode: 2,
      },
    );
  for (const address of addresses)
    if (address.kind === 'unix') mkdirSync(dirname(address.path), { recursive: true });
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  await using _server = await serve({
    engine,
    addresses,
    version: VERSION,
    tell: (error) =>
      void stderr.write(`ERROR: ${error instanceof Error ? error.stack : messageOf(error)}\n`),
  });
  for (const address of addr) stderr.write(`listening on ${address}\n`);
  if (!cancel.signal.aborted)
    await new Promise((resolve) =>
      cancel.signal.addEventListener('abort', resolve, { once: true }),
    );
  return 0;
}

/**
 * Returns the address of a socket in the directory for the state of sandboxes, such as /run/kiln.
 */
function defaultAddress(): string {
  return `unix://${stateDirectory()}/buildkitd.sock`;
}
