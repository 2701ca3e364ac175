import { statSync } from 'node:fs';
import type { SshAgentSource } from '../../executor/ssh/agent.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import type { SessionAgents } from '../session.ts';
import { agentForGit, agentForStep } from './placed-agents.ts';

/** The ssh agents that a caller lends to a build. */
export interface LentAgents {
  /**
   * Returns the agent `id`: one at a socket, one with keys, or one that answers over a connection.
   * Undefined when it is not lent. Throws when it cannot be used.
   */
  readonly find: (id: string) => Promise<SshAgentSource | undefined>;
  /** Throws when an agent cannot be used. Called before anything is built. */
  readonly check?: () => Promise<void>;
  /**
   * The path of a socket of this host at which the agent `id` listens, if it does. Git uses it
   * directly. It may be that of an agent that steps do not get.
   */
  readonly socketForGit?: (id: string) => string | undefined;
}

/** The agents of a session that lends `lent`. The sockets for steps are in memory. */
export function lendAgents({ find, check, socketForGit }: LentAgents, store: Store): SessionAgents {
  return {
    check: async () => await check?.(),
    async forStep(id, access) {
      const source = await find(id);
      return source && (await agentForStep(source, access, store));
    },
    async forGit(id) {
      const path = socketForGit?.(id);
      if (path && statSync(path, { throwIfNoEntry: false })?.isSocket())
        return { socket: path, [Symbol.asyncDispose]: async () => {} };
      const source = await find(id);
      return source && (await agentForGit(source));
    },
  };
}
