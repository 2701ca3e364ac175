import { type ChildProcess, execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { startServer, startSshd, whyNoSshd } from '../base/testing/sshd.ts';

/** The reason why tests with ssh cannot run here. Undefined when they can. */
export function whyNoSsh(): string | undefined {
  return whyNoSshd('/usr/bin/ssh', '/usr/bin/ssh-agent', '/usr/bin/git');
}

/**
 * The setting of tests with ssh: an sshd on loopback, agents, keys and a repository, all in one
 * directory. Disposing it ends the servers and removes the directory.
 */
export class SshSetting implements AsyncDisposable {
  readonly directory: string;
  readonly #children: ChildProcess[] = [];
  port = 0;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async start(directory: string): Promise<SshSetting> {
    mkdirSync(directory);
    const setting = new SshSetting(directory);
    setting.key('host', 'ed25519');
    writeFileSync(setting.path('authorized'), '');
    const server = await startSshd({
      hostKey: setting.path('host'),
      authorizedKeys: setting.path('authorized'),
    });
    setting.port = server.port;
    setting.#children.push(server.child);
    return setting;
  }

  path(...names: string[]): string {
    return join(this.directory, ...names);
  }

  /** Makes a key pair. Returns the path of the private key. */
  key(name: string, type: string, ...more: string[]): string {
    execFileSync('ssh-keygen', [
      '-q',
      '-t',
      type,
      '-N',
      '',
      '-C',
      name,
      '-f',
      this.path(name),
      ...more,
    ]);
    return this.path(name);
  }

  /** Makes the server accept this key from now on, and no other key. */
  authorize(key: string): void {
    copyFileSync(`${key}.pub`, this.path('authorized'));
  }

  /** Starts an ssh-agent with `key`, as the user `uid`. Returns the path of its socket. */
  async agent(name: string, key: string, { uid = 0 } = {}): Promise<string> {
    this.#children.push(
      await startServer('ssh-agent', ['-D', '-a', this.path(name)], /SSH_AUTH_SOCK/, uid),
    );
    execFileSync('ssh-add', ['-q', key], {
      uid,
      env: { PATH: process.env['PATH'], SSH_AUTH_SOCK: this.path(name) },
    });
    return this.path(name);
  }

  /** Makes a bare repository with one file. Returns its URL. */
  repository(file: string, text: string): string {
    const work = this.path('work');
    const git = (...args: string[]) =>
      execFileSync('git', ['-C', work, '-c', 'user.name=t', '-c', 'user.email=t@t', ...args], {
        stdio: 'pipe',
      });
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

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      const closed = new Promise((done) => child.once('close', done));
      child.kill();
      await closed;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/**
 * Copies programs of this host with their libraries into `directory`, for images without them. A
 * script named after each program starts it. The directory must be mounted at `/host`.
 */
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
    const script =
      '#!/bin/sh\n' +
      `exec /host/lib/${loader} --library-path /host/lib ` +
      `/host/real/${basename(program)} "$@"\n`;
    writeFileSync(join(directory, 'bin', basename(program)), script);
    chmodSync(join(directory, 'bin', basename(program)), 0o755);
  }
}
