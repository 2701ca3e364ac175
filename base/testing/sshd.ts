import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Readable } from 'node:stream';

const SSHD = '/usr/sbin/sshd';
/**
 * sshd needs this directory for every connection, and its package makes it only where an init
 * system runs. The directory is not removed after a test: another test file may run a server at
 * that moment.
 */
const PRIVILEGES = '/run/sshd';
/** Another process may take the chosen port before it is used. Then another port is chosen. */
const ATTEMPTS = 5;

/**
 * The reason why no server can run here, or undefined. `programs` are needed in addition to sshd.
 */
export function whyNoSshd(...programs: string[]): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  const missing = [SSHD, ...programs].filter((path) => !existsSync(path));
  return missing.length > 0
    ? `needs ${missing.join(', ')} (openssh-server, openssh-client, git)`
    : undefined;
}

/**
 * Starts an sshd on a free loopback port, or on `port`. The limits on connections and on login time
 * are wide: on a busy machine a client may need seconds for its first message.
 */
export async function startSshd(files: {
  readonly hostKey: string;
  readonly authorizedKeys: string;
  readonly port?: number;
}): Promise<{ readonly port: number; readonly child: ChildProcess }> {
  mkdirSync(PRIVILEGES, { recursive: true });
  for (let attempt = 1; ; attempt++) {
    const port = files.port ?? (await freePort());
    const options = [
      `HostKey=${files.hostKey}`,
      `AuthorizedKeysFile=${files.authorizedKeys}`,
      `ListenAddress=127.0.0.1:${port}`,
      'PidFile=none',
      'StrictModes=no',
      'UsePAM=no',
      'PasswordAuthentication=no',
      'LoginGraceTime=600',
      'MaxStartups=200',
    ].flatMap((option) => ['-o', option]);
    try {
      return {
        port,
        child: await startServer(SSHD, ['-D', '-e', '-f', '/dev/null', ...options], /listening on/),
      };
    } catch (error) {
      if (files.port !== undefined || attempt === ATTEMPTS) throw error;
    }
  }
}

/**
 * Starts a program and waits until it has printed `words`. Rejects with its output when it ends
 * before that.
 */
export async function startServer(
  command: string,
  args: readonly string[],
  words: RegExp,
  uid = 0,
): Promise<ChildProcess> {
  const child = spawn(command, args, { uid, stdio: ['ignore', 'pipe', 'pipe'] });
  await Promise.race([printed(child.stdout, words), printed(child.stderr, words)]);
  return child;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  return typeof address === 'object' && address ? address.port : 0;
}

/**
 * Resolves when the stream has shown `words`. Later output is read as well, so that the program
 * never waits for its reader.
 */
function printed(stream: Readable, words: RegExp): Promise<void> {
  return new Promise((done, fail) => {
    let text = '';
    stream.on('data', (data: Buffer) => {
      text += data.toString();
      if (words.test(text)) done();
    });
    stream.once('close', () => fail(new Error(text)));
  });
}
