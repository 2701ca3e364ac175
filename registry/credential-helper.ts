import { errnoOf, KilnError, messageOf } from '../base/errors.ts';
import { printable } from '../base/printable.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * A login as a helper stores it. The user name `<token>` means that the secret is an identity
 * token.
 */
export interface HelperLogin {
  readonly username: string;
  readonly secret: string;
}

const OUTPUT_LIMIT = 64 << 10;

/**
 * The programs of docker-credential-helpers: `docker-credential-NAME get|store|erase`, found on
 * `env.PATH`. Input is passed by standard input, and a secret never appears in a message. Each
 * method throws KILN_CREDENTIAL_HELPER.
 */
export interface CredentialHelper {
  /** The login for `server`, or undefined when the helper has none. */
  get(server: string, signal: AbortSignal): Promise<HelperLogin | undefined>;
  store(server: string, login: HelperLogin, signal: AbortSignal): Promise<void>;
  /** Erasing a login that does not exist is not an error. */
  erase(server: string, signal: AbortSignal): Promise<void>;
}

export function credentialHelper(name: string, env: Environment): CredentialHelper {
  const program = `docker-credential-${name}`;
  const failed = (why: string, cause?: unknown) =>
    new KilnError(
      'KILN_CREDENTIAL_HELPER',
      `${program}, which docker's config.json names, ${why}`,
      {
        hint: `install ${program}, or remove it from credsStore and credHelpers`,
        cause,
      },
    );
  /** Returns the output of the helper, or undefined when it does not know the server. */
  const ask = async (
    verb: string,
    input: string,
    signal: AbortSignal,
  ): Promise<string | undefined> => {
    // A name with a slash could run a program from any directory.
    if (!/^[\w.-]+$/.test(name)) throw failed('does not have a valid name');
    const { code, stdout } = await runHelper(program, verb, input, env, signal).catch(
      (error: unknown) => {
        throw failed(
          errnoOf(error) === 'ENOENT' ? 'is not on PATH' : `cannot be run: ${messageOf(error)}`,
          error,
        );
      },
    );
    if (code === 0) return stdout;
    if (/credentials not found|no credentials/i.test(stdout)) return undefined;
    throw failed(`failed: ${printable(stdout) || `exit code ${code}`}`);
  };
  return {
    async get(server, signal) {
      const stdout = await ask('get', server, signal);
      return stdout === undefined ? undefined : parseAnswer(stdout, failed);
    },
    async store(server, { username, secret }, signal) {
      const answer = await ask(
        'store',
        JSON.stringify({ ServerURL: server, Username: username, Secret: secret }),
        signal,
      );
      if (answer === undefined) throw failed('did not keep the login');
    },
    async erase(server, signal) {
      await ask('erase', server, signal);
    },
  };
}

function parseAnswer(stdout: string, failed: (why: string) => KilnError): HelperLogin {
  let answer: { Username?: unknown; Secret?: unknown };
  try {
    answer = JSON.parse(stdout);
  } catch {
    throw failed('did not print a JSON document');
  }
  if (typeof answer?.Username !== 'string' || typeof answer.Secret !== 'string')
    throw failed('printed no Username and Secret');
  return { username: answer.Username, secret: answer.Secret };
}

async function runHelper(
  program: string,
  verb: string,
  input: string,
  env: Environment,
  signal: AbortSignal,
): Promise<{ code: number | null; stdout: string }> {
  const { spawn } = await import('node:child_process');
  return new Promise((resolve, reject) => {
    const child = spawn(program, [verb], {
      env: { ...env },
      stdio: ['pipe', 'pipe', 'ignore'],
      signal,
      timeout: 30_000,
    });
    let stdout = '';
    child.on('error', reject);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (stdout.length < OUTPUT_LIMIT) stdout += text;
    });
    child.on('close', (code) => resolve({ code, stdout }));
    // A helper that does not read its input is not a failure.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
