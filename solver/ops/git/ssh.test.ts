import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../../base/errors.ts';
import { never } from '../../../registry/testing/client.ts';
import { copyingSnapshotter } from '../file/testing.ts';
import { sourceGitOp } from '../source-git.ts';
import { close, ended, listen, Repositories } from './testing.ts';

const SSHD = '/usr/sbin/sshd';
/** sshd wants this directory, and its package makes it only where there is an init. */
const PRIVILEGES = '/run/sshd';

const ssh = suite('git by ssh');

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

/** An sshd on loopback, an agent with the key that it takes, and a repository behind it. */
class Setting implements AsyncDisposable {
  readonly repositories = new Repositories();
  readonly snapshotter = copyingSnapshotter();
  readonly #children: ChildProcess[] = [];
  readonly #made = !existsSync(PRIVILEGES);
  port = 0;

  path(name: string): string {
    return join(this.repositories.directory, name);
  }

  key(name: string): void {
    for (const suffix of ['', '.pub']) rmSync(this.path(name) + suffix, { force: true });
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', this.path(name)]);
  }

  async start(): Promise<this> {
    this.repositories.commit('r', { a: 'by ssh' });
    this.repositories.publish('r');
    this.key('host');
    this.key('user');
    if (this.#made) mkdirSync(PRIVILEGES);
    // A port that was free a moment ago: sshd does not tell which one it has chosen.
    const probe = createServer();
    this.port = Number(new URL(await listen(probe)).port);
    await close(probe);
    await this.serve();
    await this.agent('agent');
    execFileSync('ssh-add', ['-q', this.path('user')], { env: { SSH_AUTH_SOCK: this.path('agent'), PATH: process.env['PATH'] } });
    return this;
  }

  async serve(): Promise<ChildProcess> {
    const options = [
      `HostKey=${this.path('host')}`,
      `AuthorizedKeysFile=${this.path('user.pub')}`,
      `ListenAddress=127.0.0.1:${this.port}`,
      'PidFile=none',
      'StrictModes=no',
      'UsePAM=no',
      'PasswordAuthentication=no',
    ].flatMap((option) => ['-o', option]);
    return await this.#child(SSHD, ['-D', '-e', '-f', '/dev/null', ...options], /listening on/);
  }

  async agent(name: string): Promise<void> {
    await this.#child('ssh-agent', ['-D', '-a', this.path(name)], /SSH_AUTH_SOCK/);
  }

  async #child(command: string, args: string[], words: RegExp): Promise<ChildProcess> {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.push(child);
    await Promise.race([printed(child.stdout, words), printed(child.stderr, words)]);
    return child;
  }

  async stop(child: ChildProcess): Promise<void> {
    await ended(child);
    this.#children.splice(this.#children.indexOf(child), 1);
  }

  get server(): ChildProcess {
    return this.#children[0]!;
  }

  async commit(agent: string | undefined, attrs: Record<string, string> = {}): Promise<string> {
    const git = {
      directory: this.path('store'),
      env: { PATH: process.env['PATH'] ?? '' },
      sshAgent: async () => agent && { socket: this.path(agent), [Symbol.asyncDispose]: async () => {} },
      knownHosts: [this.path('known hosts')],
    };
    const url = `ssh://root@127.0.0.1:${this.port}${this.repositories.served}/r.git`;
    const world = { snapshotter: this.snapshotter, git: { ...git, sshAgent: async () => (await git.sshAgent()) || undefined } };
    const op = sourceGitOp(
      { identifier: 'git://127.0.0.1/r.git', attrs: { 'git.fullurl': url, 'git.mountsshsock': 'default', ...attrs } },
      { ...world, refs: new Map(), secret: async () => undefined },
    );
    return (await op.cacheMap(never())).parts[0]!.value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) await ended(child);
    if (this.#made) rmSync(PRIVILEGES, { recursive: true });
    this.snapshotter[Symbol.dispose]();
    this.repositories[Symbol.dispose]();
  }
}

async function code(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.instance(error, KilnError);
  return (error as KilnError).code;
}

if (!existsSync(SSHD) || process.getuid?.() !== 0) console.log('SKIP git by ssh: no sshd, or no root to run it');
else {
  ssh('the agent of the caller opens the repository, and a new host is remembered', async () => {
    await using at = await new Setting().start();
    assert.is(await at.commit('agent'), at.repositories.git('r', 'rev-parse', 'HEAD'));
    assert.match(readFileSync(at.path('known hosts'), 'utf8'), /ed25519/);
  });

  ssh('a host that shows another key is not spoken to', async () => {
    await using at = await new Setting().start();
    await at.commit('agent');
    await at.stop(at.server);
    at.key('host');
    await at.serve();
    assert.is(await code(at.commit('agent')), 'KILN_GIT_HOST_KEY');
  });

  ssh('host keys that the graph names are the only good ones', async () => {
    await using at = await new Setting().start();
    const line = (key: string) => `[127.0.0.1]:${at.port} ${readFileSync(at.path(`${key}.pub`), 'utf8')}`;
    assert.is(await code(at.commit('agent', { 'git.knownsshhosts': line('user') })), 'KILN_GIT_HOST_KEY');
    assert.is(await at.commit('agent', { 'git.knownsshhosts': line('host') }), at.repositories.git('r', 'rev-parse', 'HEAD'));
    assert.not.ok(existsSync(at.path('known hosts')));
  });

  ssh('without an agent, or with one that has no key, it is told so', async () => {
    await using at = await new Setting().start();
    assert.is(await code(at.commit(undefined)), 'KILN_SSH_AGENT');
    writeFileSync(at.path('unused'), '');
    await at.agent('empty');
    assert.is(await code(at.commit('empty')), 'KILN_GIT_DENIED');
  });
}

ssh.run();
