import { DEFAULT_DOMAIN } from '../../base/reference.ts';
import { hostOfKey } from '../../registry/docker-config.ts';
import { removeLogin } from '../../registry/login.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { stdout } from '../output.ts';
import { dockerConfigPath } from '../registry-options.ts';

export function declareCommand(): Command {
  return newCommand('logout', 'Log out from a registry').argument(
    '[registry]',
    'HOST[:PORT] (default: Docker Hub)',
  );
}

/** `kiln logout [REGISTRY]` */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const host = hostOfKey(command.args[0] ?? DEFAULT_DOMAIN);
  using cancel = cancelOnSignals();
  await removeLogin(host, { path: dockerConfigPath(process.env), env: process.env }, cancel.signal);
  stdout.write(`Removing login credentials for ${host}\n`);
  return 0;
}
