import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { secretDirectory } from '../builder/session/secret-memory.ts';
import type { SessionAgents } from '../builder/session.ts';
import type { SshAgentSource } from '../executor/ssh/agent.ts';
import type { ForwardedAgent, SocketAccess } from '../executor/ssh/forward.ts';
import type { Store } from '../snapshotter/store/root.ts';
import type { SshAgent } from '../solver/ops/git/host.ts';
import type { SshSpec } from './build-options.ts';

/**
 * Returns the ssh agents that `--ssh` lends to steps and to git. Without the flag, steps get no
 * agent, and git gets the agent at SSH_AUTH_SOCK, as in buildx. Keys are read at the first call.
 */
export function openSshAgents(
  specs: readonly SshSpec[],
  env: Readonly<Record<string, string | undefined>>,
  store: Store,
): SessionAgents {
  let opened: Promise<ReadonlyMap<string, SshAgentSource>> | undefined;
  const sources = () =>
    (opened ??= import('./ssh-sources.ts').then(({ readSshSources }) =>
      readSshSources(specs, env),
    ));
  const forward = async (
    source: SshAgentSource,
    place: { readonly path: string },
    access: SocketAccess,
  ) => await (await import('../executor/ssh/forward.ts')).forwardAgent(source, place.path, access);
  return {
    async check() {
      if (specs.length > 0) await sources();
    },
    async forStep(id, access) {
      const source = specs.length > 0 ? (await sources()).get(id) : undefined;
      return (
        source && (await placed(secretDirectory(store), (place) => forward(source, place, access)))
      );
    },
    async forGit(id) {
      const spec = specs.find((one) => one.id === id);
      if (!spec) return id === 'default' ? socketAt(env['SSH_AUTH_SOCK']) : undefined;
      const direct = socketAt(spec.paths.length === 0 ? env['SSH_AUTH_SOCK'] : spec.paths[0]);
      if (direct) return direct;
      const source = (await sources()).get(id);
      const own = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, mode: 0o600 };
      return source && (await placed(shortDirectory(), (place) => forward(source, place, own)));
    },
  };
}

function socketAt(path: string | undefined): SshAgent | undefined {
  if (!path || !statSync(path, { throwIfNoEntry: false })?.isSocket()) return undefined;
  return { socket: path, [Symbol.asyncDispose]: async () => {} };
}

/** Opens an agent in the directory `place`, and removes the directory together with the agent. */
async function placed<T extends Disposable>(
  place: T,
  open: (place: T) => Promise<ForwardedAgent>,
): Promise<ForwardedAgent> {
  await using scope = new AsyncDisposableStack();
  const { socket } = scope.use(await open(scope.use(place)));
  const held = scope.move();
  return { socket, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** Makes a directory with a short path, because the path of a socket has at most 108 bytes. */
function shortDirectory(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'kiln-ssh-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
