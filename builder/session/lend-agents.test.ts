import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { failure } from '../../base/testing/failure.ts';
import { MESSAGE, type SshAgentSource } from '../../executor/ssh/agent.ts';
import { openStore, type Store } from '../../snapshotter/store/root.ts';
import { lendAgents } from './lend-agents.ts';

const test = suite<{ directory: string; store: Store }>('lent agents');

test.before.each((at) => {
  at.directory = mkdtempSync(join(tmpdir(), 'kiln-lend-'));
  at.store = openStore(join(at.directory, 'store'));
});
test.after.each(({ directory, store }) => {
  store.close();
  rmSync(directory, { recursive: true, force: true });
});

/** An agent in memory, which answers each question for its keys with its own name. */
function agentCalled(name: string): SshAgentSource {
  return {
    connect: () => ({
      ask: async () => Buffer.concat([Buffer.from([MESSAGE.keys]), Buffer.from(name)]),
      [Symbol.dispose]: () => {},
    }),
  };
}

/** What the agent behind `socket` answers when it is asked for its keys. */
async function asked(socket: string): Promise<string> {
  // The path of a step's socket is longer than the address of a socket may be.
  const fd = openSync(dirname(socket), 'r');
  const client = connect(`/proc/self/fd/${fd}/${basename(socket)}`);
  client.write(Buffer.from([0, 0, 0, 1, MESSAGE.listKeys]));
  const [answer] = (await once(client, 'data')) as [Buffer];
  client.destroy();
  closeSync(fd);
  return answer.subarray(5).toString();
}

test('git reaches the agent of its id by a socket, which goes when git has ended', async ({
  store,
}) => {
  const sources = new Map([
    ['default', agentCalled('one')],
    ['other', agentCalled('two')],
  ]);
  const agents = lendAgents({ find: async (id) => sources.get(id) }, store);
  for (const [id, name] of [
    ['default', 'one'],
    ['other', 'two'],
  ] as const) {
    const agent = await agents.forGit(id);
    assert.is(await asked(agent!.socket), name);
    await agent![Symbol.asyncDispose]();
    assert.not(existsSync(dirname(agent!.socket)));
  }
  assert.is(await agents.forGit('third'), undefined);
});

test('git uses a socket of this host as it is, also of an agent that steps do not get', async ({
  directory,
  store,
}) => {
  const path = join(directory, 'agent');
  const server = createServer();
  await once(server.listen(path), 'listening');
  const socketForGit = (id: string) => (id === 'default' ? path : join(directory, 'nothing'));
  const agents = lendAgents({ find: async () => undefined, socketForGit }, store);
  assert.is((await agents.forGit('default'))?.socket, path);
  assert.is(await agents.forGit('other'), undefined);
  assert.is(await agents.forStep('default', { uid: 0, gid: 0, mode: 0o600 }), undefined);
  server.close();
});

test('a step gets a socket of its own, with the owner that it asks for', async ({ store }) => {
  if (process.getuid?.() !== 0) return console.log('SKIP lent agents: needs root');
  const agents = lendAgents({ find: async () => agentCalled('one') }, store);
  await using agent = await agents.forStep('default', { uid: 7, gid: 8, mode: 0o600 });
  assert.is(await asked(agent!.socket), 'one');
  const { uid, gid, mode } = statSync(agent!.socket);
  assert.equal([uid, gid, mode & 0o777], [7, 8, 0o600]);
});

test('an agent that cannot be used is told before anything is built', async ({ store }) => {
  const fails = async () => {
    throw new KilnError('KILN_SSH_AGENT', 'there is no such socket');
  };
  const agents = lendAgents({ find: fails, check: fails }, store);
  assert.is((await failure(agents.check())).code, 'KILN_SSH_AGENT');
  assert.is((await failure(agents.forGit('default'))).code, 'KILN_SSH_AGENT');
});

test.run();
