import { type ChildProcess, execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../../base/digest.ts';
import { KilnError } from '../../../base/errors.ts';
import { startServer, startSshd, whyNoSshd } from '../../../base/testing/sshd.ts';
import { never } from '../../../registry/testing/client.ts';
import { stepSession } from '../../step-session.ts';
import { copyingSnapshotter } from '../file/testing.ts';
import { sourceGitOp } from '../source-git.ts';
import { ended, Repositories } from './testing.ts';

const ssh = suite('git by ssh');

/** An sshd on the loopback interface, an agent with a key that it accepts, and a repository. */
class Setting implements AsyncDisposable {
  readonly repositories = new Repositories();
  readonly snapshotter = copyingSnapshotter();
  readonly #children: ChildProcess[] = [];
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
    await this.serve();
    await this.agent('agent');
    execFileSync('ssh-add', ['-q', this.path('user')], {
      env: { SSH_AUTH_SOCK: this.path('agent'), PATH: process.env['PATH'] },
    });
    return this;
  }

  async serve(): Promise<ChildProcess> {
    const files = { hostKey: this.path('host'), authorizedKeys: this.path('user.pub') };
    const { port, child } = await startSshd(
      this.port === 0 ? files : { ...files, port: this.port },
    );
    this.port = port;
    this.#children.push(child);
    return child;
  }

  async agent(name: string): Promise<void> {
    this.#children.push(
      await startServer('ssh-agent', ['-D', '-a', this.path(name)], /SSH_AUTH_SOCK/),
    );
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
      knownHosts: [this.path('known hosts')],
    };
    const url = `ssh://root@127.0.0.1:${this.port}${this.repositories.served}/r.git`;
    const gitAgent = async () =>
      agent === undefined
        ? undefined
        : { socket: this.path(agent), [Symbol.asyncDispose]: async () => {} };
    const op = sourceGitOp(
      {
        identifier: 'git://127.0.0.1/r.git',
        attrs: { 'git.fullurl': url, 'git.mountsshsock': 'default', ...attrs },
      },
      { snapshotter: this.snapshotter, git },
    );
    const session = stepSession({ gitAgent });
    const report = { progress: () => {}, vertex: digestOf('v'), started: () => {}, session };
    return (await op.cacheMap(never(), report)).parts[0]!.value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) await ended(child);
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

const reason = whyNoSshd('/usr/bin/ssh', '/usr/bin/ssh-agent', '/usr/bin/git');
if (reason) console.log(`SKIP git by ssh: ${reason}`);
else {
  ssh('a repository is read with the agent of the caller, and a new host is saved', async () => {
    await using at = await new Setting().start();
    assert.is(await at.commit('agent'), at.repositories.git('r', 'rev-parse', 'HEAD'));
    assert.match(readFileSync(at.path('known hosts'), 'utf8'), /ed25519/);
  });

  ssh('a host with another key than the known one is refused', async () => {
    await using at = await new Setting().start();
    await at.commit('agent');
    await at.stop(at.server);
    at.key('host');
    await at.serve();
    assert.is(await code(at.commit('agent')), 'KILN_GIT_HOST_KEY');
  });

  ssh('if the graph gives host keys, no others are accepted', async () => {
    await using at = await new Setting().start();
    const line = (key: string) =>
      `[127.0.0.1]:${at.port} ${readFileSync(at.path(`${key}.pub`), 'utf8')}`;
    assert.is(
      await code(at.commit('agent', { 'git.knownsshhosts': line('user') })),
      'KILN_GIT_HOST_KEY',
    );
    assert.is(
      await at.commit('agent', { 'git.knownsshhosts': line('host') }),
      at.repositories.git('r', 'rev-parse', 'HEAD'),
    );
    assert.not.ok(existsSync(at.path('known hosts')));
  });

  ssh('a missing agent, and an agent without a key, is an error that says so', async () => {
    await using at = await new Setting().start();
    assert.is(await code(at.commit(undefined)), 'KILN_SSH_AGENT');
    writeFileSync(at.path('unused'), '');
    await at.agent('empty');
    assert.is(await code(at.commit('empty')), 'KILN_GIT_DENIED');
  });
}

ssh.run();
