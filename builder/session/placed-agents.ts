import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SshAgentSource } from '../../executor/ssh/agent.ts';
import type { ForwardedAgent, SocketAccess } from '../../executor/ssh/forward.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { secretDirectory } from './secret-memory.ts';

/** Puts an agent behind a socket for a step. The socket is in memory and goes with the answer. */
export async function agentForStep(
  source: SshAgentSource,
  access: SocketAccess,
  store: Store,
): Promise<ForwardedAgent> {
  return await placed(secretDirectory(store), source, access);
}

/** The same for git, which runs as this process does. */
export async function agentForGit(source: SshAgentSource): Promise<ForwardedAgent> {
  const own = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, mode: 0o600 };
  return await placed(shortDirectory(), source, own);
}

/** Opens an agent in the directory `place`, and removes the directory together with the agent. */
async function placed(
  place: Disposable & { readonly path: string },
  source: SshAgentSource,
  access: SocketAccess,
): Promise<ForwardedAgent> {
  const { forwardAgent } = await import('../../executor/ssh/forward.ts');
  await using scope = new AsyncDisposableStack();
  scope.use(place);
  const { socket } = scope.use(await forwardAgent(source, place.path, access));
  const held = scope.move();
  return { socket, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** Makes a directory with a short path, because the path of a socket has at most 108 bytes. */
function shortDirectory(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'kiln-ssh-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
