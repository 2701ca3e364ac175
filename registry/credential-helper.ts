import { errnoOf, KilnError, messageOf } from '../base/errors.ts';
import { printable } from './failures.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** A login as a helper keeps it. The user name `<token>` says that the secret is an identity token. */
export interface HelperLogin {
  readonly username: string;
  readonly secret: string;
}

const OUTPUT_LIMIT = 64 << 10;

/**
 * The programs of docker-credential-helpers: `docker-credential-NAME get|store|erase`, found on `env.PATH`. What is asked goes in by
 * standard input, and a secret never into a message. Each throws KILN_CREDENTIAL_HELPER.
 */
export interface CredentialHelper {
  /** The login for `server`, or undefined. */
  get(server: string, signal: AbortSignal): Promise<HelperLogin | undefined>;
  store(server: string, login: HelperLogin, signal: AbortSignal): Promise<void>;
  /** Forgetting what is not known is no error. */
  erase(server: string, signal: AbortSignal): Promise<void>;
}

export function credentialHelper(name: string, env: Environment): CredentialHelper {
  const program = `docker-credential-${name}`;
  const failed = (why: string, cause?: unknown) =>
    new KilnError('KILN_CREDENTIAL_HELPER', `${program}, which docker's config.json names, ${why}`, {
      hint: `install ${program}, or remove it from credsStore and credHelpers`,
      cause,
    });
  /** Answers what it printed, or undefined when it does not know the server. */
  const ask = async (verb: string, input: string, signal: AbortSignal): Promise<string | undefined> => {
    // A name with a slash would run a program from anywhere.
    if (!/^[\w.-]+$/.test(name)) throw failed('has no valid name');
    const { code, stdout } = await runHelper(program, verb, input, env, signal).catch((error: unknown) => {
      throw failed(errnoOf(error) === 'ENOENT' ? 'is not on PATH' : `cannot be run: ${messageOf(error)}`, error);
    });
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
      const answer = await ask('store', JSON.stringify({ ServerURL: server, Username: username, Secret: secret }), signal);
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
    throw failed('answered no JSON document');
  }
  if (typeof answer?.Username !== 'string' || typeof answer.Secret !== 'string')
    throw failed('answered without Username and Secret');
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
    const child = spawn(program, [verb], { env: { ...env }, stdio: ['pipe', 'pipe', 'ignore'], signal, timeout: 30_000 });
    let stdout = '';
    child.on('error', reject);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (stdout.length < OUTPUT_LIMIT) stdout += text;
    });
    child.on('close', (code) => resolve({ code, stdout }));
    // A helper that does not read its input is no failure of ours.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
