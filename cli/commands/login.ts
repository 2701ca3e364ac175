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
      'password or access token (other users of this machine can see it)',
    )
    .option('--password-stdin', 'take the password or access token from standard input');
}

/**
 * `kiln login [REGISTRY]`: checks the login with the registry and saves it in docker's
 * configuration, where docker finds it, too.
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
        '  to store it safely, set a credential helper as credsStore in that file\n',
    );
  }
  stdout.write('Login Succeeded\n');
  return 0;
}

async function loginOf({ username, password, passwordStdin }: Flags): Promise<Login> {
  if (password !== undefined && passwordStdin)
    throw usage('--password and --password-stdin cannot be used together');
  if (passwordStdin && username === undefined)
    throw usage('--password-stdin needs a user name', 'add --username USER');
  if (password !== undefined) {
    stderr.write(
      'WARNING: other users can see a password on the command line; use --password-stdin\n',
    );
  }
  const needsTerminal = username === undefined || (password === undefined && !passwordStdin);
  if (needsTerminal && !process.stdin.isTTY)
    throw usage(
      'standard input is not a terminal, so kiln cannot ask for the login',
      'use --username and --password-stdin',
    );
  const user = username ?? (await ask('Username: ', { secret: false })).trim();
  const secret = passwordStdin
    ? (await readInput()).replace(/\r?\n$/, '')
    : (password ?? (await ask('Password: ', { secret: true })));
  if (user === '' || secret === '')
    throw usage(`the ${user === '' ? 'user name' : 'password'} is empty`);
  // Basic authentication (RFC 7617, section 2) separates user name and password by the first colon.
  if (user.includes(':')) throw usage('a user name cannot contain a colon');
  return { username: user, password: secret };
}

function usage(message: string, hint?: string): KilnError {
  return new KilnError('KILN_USAGE', message, { hint, exitCode: 2 });
}
