import { lendAgents } from '../builder/session/lend-agents.ts';
import type { SessionAgents } from '../builder/session.ts';
import type { SshAgentSource } from '../executor/ssh/agent.ts';
import type { Store } from '../snapshotter/store/root.ts';
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
  return lendAgents(
    {
      async check() {
        if (specs.length > 0) await sources();
      },
      find: async (id) => (specs.length > 0 ? (await sources()).get(id) : undefined),
      socketForGit(id) {
        const spec = specs.find((one) => one.id === id);
        if (!spec) return id === 'default' ? env['SSH_AUTH_SOCK'] : undefined;
        return spec.paths.length === 0 ? env['SSH_AUTH_SOCK'] : spec.paths[0];
      },
    },
    store,
  );
}
