import { KilnError } from '../../base/errors.ts';
import { DEFAULT_DOMAIN } from '../../base/reference.ts';
import { hostOfKey } from '../../registry/docker-config.ts';
import { type Login, saveLogin, verifyLogin } from '../../registry/login.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { stderr, stdout } from '../output.ts';
import { ask, readInput } from '../prompt.ts';
import { dockerConfigPath, registryOptions } from '../registry-options.ts';

interface Flags {
  readonly username?: string;
  readonly password?: string;
  readonly passwordStdin?: boolean;
}

export function declareCommand(): Command {
  return newCommand('login', 'Log in to a registry')
    .argument('[registry]', 'HOST[:PORT] (default: Docker Hub)')
    .option('-u, --username <user>', 'user name')
    .option(
      '-p, --password <password>',
      'password or access token; other users of this machine may see it',
    )
    .option('--password-stdin', 'read the password from standard input');
}

/**
 * `kiln login [REGISTRY]`: a login that the registry has taken goes where docker, too, looks for
 * it.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const host = hostOfKey(command.args[0] ?? DEFAULT_DOMAIN);
  if (host === '') throw usage('the registry has no host name', 'write HOST or HOST:PORT');
  const login = await loginOf(command.opts<Flags>());
  using cancel = cancelOnSignals();
  await verifyLogin(host, login, await registryOptions(process.env), cancel.signal);
  const path = dockerConfigPath(process.env);
  const { clear } = await saveLogin(host, login, { path, env: process.env }, cancel.signal);
  if (clear) {
    stderr.write(
      `WARNING: the login is stored in clear text in ${path}\n` +
        '  a credential helper, named there as credsStore, keeps it better\n',
    );
  }
  stdout.write('Login Succeeded\n');
  return 0;
}

async function loginOf({ username, password, passwordStdin }: Flags): Promise<Login> {
  if (password !== undefined && passwordStdin)
    throw usage('--password and --password-stdin exclude each other');
  if (passwordStdin && username === undefined)
    throw usage('--password-stdin wants a user name', 'add --username USER');
  if (password !== undefined) {
    stderr.write(
      'WARNING: a password on the command line can be seen by others; --password-stdin hides it\n',
    );
  }
  const needsTerminal = username === undefined || (password === undefined && !passwordStdin);
  if (needsTerminal && !process.stdin.isTTY)
    throw usage(
      'there is no terminal to ask for the login',
      'give --username and --password-stdin',
    );
  const user = username ?? (await ask('Username: ', { secret: false })).trim();
  const secret = passwordStdin
    ? (await readInput()).replace(/\r?\n$/, '')
    : (password ?? (await ask('Password: ', { secret: true })));
  if (user === '' || secret === '')
    throw usage(`the ${user === '' ? 'user name' : 'password'} is empty`);
  // Basic authentication (RFC 7617, 2) separates the two by the first colon.
  if (user.includes(':')) throw usage('a user name cannot have a colon');
  return { username: user, password: secret };
}

function usage(message: string, hint?: string): KilnError {
  return new KilnError('KILN_USAGE', message, { hint, exitCode: 2 });
}
