import { statSync } from 'node:fs';
import { agentForGit, agentForStep } from '../builder/session/placed-agents.ts';
import type { SessionAgents } from '../builder/session.ts';
import type { SshAgentSource } from '../executor/ssh/agent.ts';
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
  return {
    async check() {
      if (specs.length > 0) await sources();
    },
    async forStep(id, access) {
      const source = specs.length > 0 ? (await sources()).get(id) : undefined;
      return source && (await agentForStep(source, access, store));
    },
    async forGit(id) {
      const spec = specs.find((one) => one.id === id);
      if (!spec) return id === 'default' ? socketAt(env['SSH_AUTH_SOCK']) : undefined;
      const direct = socketAt(spec.paths.length === 0 ? env['SSH_AUTH_SOCK'] : spec.paths[0]);
      if (direct) return direct;
      const source = (await sources()).get(id);
      return source && (await agentForGit(source));
    },
  };
}

function socketAt(path: string | undefined): SshAgent | undefined {
  if (!path || !statSync(path, { throwIfNoEntry: false })?.isSocket()) return undefined;
  return { socket: path, [Symbol.asyncDispose]: async () => {} };
}
