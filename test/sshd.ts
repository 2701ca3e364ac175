import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename, join } from 'node:path';
import type { Readable } from 'node:stream';

const SSHD = '/usr/sbin/sshd';
/** sshd wants this directory, and its package makes it only where there is an init. */
const PRIVILEGES = '/run/sshd';

/** Why these tests cannot run here, or undefined. */
export function whyNoSsh(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  const missing = [SSHD, '/usr/bin/ssh', '/usr/bin/ssh-agent', '/usr/bin/git'].filter((path) => !existsSync(path));
  return missing.length > 0 ? `needs ${missing.join(', ')} (openssh-server, openssh-client, git)` : undefined;
}

/** For end-to-end tests: an sshd on loopback, agents, keys, and a repository behind it; all in one directory and gone with its scope. */
export class SshSetting implements AsyncDisposable {
  readonly directory: string;
  readonly #children: ChildProcess[] = [];
  readonly #made = !existsSync(PRIVILEGES);
  port = 0;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async start(directory: string): Promise<SshSetting> {
    mkdirSync(directory);
    const setting = new SshSetting(directory);
    if (setting.#made) mkdirSync(PRIVILEGES);
    setting.key('host', 'ed25519');
    writeFileSync(setting.path('authorized'), '');
    setting.port = await freePort();
    await setting.#serve();
    return setting;
  }

  path(...names: string[]): string {
    return join(this.directory, ...names);
  }

  /** Makes a key; answers the path of the private one. */
  key(name: string, type: string, ...more: string[]): string {
    execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', name, '-f', this.path(name), ...more]);
    return this.path(name);
  }

  /** The server takes this key from now on, and no other. */
  authorize(key: string): void {
    copyFileSync(`${key}.pub`, this.path('authorized'));
  }

  /** A running ssh-agent that has `key`, root's or another user's; answers its socket. */
  async agent(name: string, key: string, { uid = 0 } = {}): Promise<string> {
    await this.#child('ssh-agent', ['-D', '-a', this.path(name)], /SSH_AUTH_SOCK/, uid);
    execFileSync('ssh-add', ['-q', key], { uid, env: { PATH: process.env['PATH'], SSH_AUTH_SOCK: this.path(name) } });
    return this.path(name);
  }

  /** A bare repository with one file; answers its URL. */
  repository(file: string, text: string): string {
    const work = this.path('work');
    const git = (...args: string[]) =>
      execFileSync('git', ['-C', work, '-c', 'user.name=t', '-c', 'user.email=t@t', ...args], { stdio: 'pipe' });
    mkdirSync(work);
    writeFileSync(join(work, file), text);
    git('init', '--quiet');
    git('add', file);
    git('commit', '--quiet', '--message', 'first');
    git('clone', '--quiet', '--bare', work, this.path('r.git'));
    return `ssh://root@127.0.0.1:${this.port}${this.path('r.git')}`;
  }

  get knownHosts(): string {
    return `[127.0.0.1]:${this.port} ${readFileSync(this.path('host.pub'), 'utf8')}`;
  }

  async #serve(): Promise<void> {
    const options = [
      `HostKey=${this.path('host')}`,
      `AuthorizedKeysFile=${this.path('authorized')}`,
      `ListenAddress=127.0.0.1:${this.port}`,
      'PidFile=none',
      'StrictModes=no',
      'UsePAM=no',
      'PasswordAuthentication=no',
    ].flatMap((option) => ['-o', option]);
    await this.#child(SSHD, ['-D', '-e', '-f', '/dev/null', ...options], /listening on/);
  }

  async #child(command: string, args: string[], words: RegExp, uid = 0): Promise<void> {
    const child = spawn(command, args, { uid, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.push(child);
    await Promise.race([printed(child.stdout, words), printed(child.stderr, words)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      const closed = new Promise((done) => child.once('close', done));
      child.kill();
      await closed;
    }
    if (this.#made) rmSync(PRIVILEGES, { recursive: true });
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A directory with programs of this host, for images that have none: each with its libraries, behind a script of its name. */
export function hostPrograms(directory: string, ...programs: string[]): void {
  for (const part of ['bin', 'lib', 'real']) mkdirSync(join(directory, part), { recursive: true });
  for (const program of programs) {
    copyFileSync(program, join(directory, 'real', basename(program)));
    const lines = execFileSync('ldd', [program]).toString();
    let loader = '';
    for (const [, path = ''] of lines.matchAll(/(\/\S+) \(0x/g)) {
      copyFileSync(path, join(directory, 'lib', basename(path)));
      if (basename(path).startsWith('ld-')) loader = basename(path);
    }
    const script = `#!/bin/sh\nexec /host/lib/${loader} --library-path /host/lib /host/real/${basename(program)} "$@"\n`;
    writeFileSync(join(directory, 'bin', basename(program)), script);
    chmodSync(join(directory, 'bin', basename(program)), 0o755);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  return typeof address === 'object' && address ? address.port : 0;
}

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
