import { KilnError } from '../base/errors.ts';
import type { SshAgentSource } from '../executor/ssh/agent.ts';
import { agentOfKeys, isAgentSocket } from '../executor/ssh/agent-files.ts';
import { rawSocket, socketAgent } from '../executor/ssh/socket-agent.ts';
import type { SshSpec } from './build-options.ts';
import { atFlag, flagError } from './flag-error.ts';

const FLAG = '--ssh';

/**
 * Returns the agents that `--ssh` lends, by id: the agent at a socket, or an agent with keys from
 * files. The files are read now. Throws KILN_SSH_AGENT, KILN_SSH_KEY or KILN_FLAG_VALUE.
 */
export function readSshSources(
  specs: readonly SshSpec[],
  env: Readonly<Record<string, string | undefined>>,
): ReadonlyMap<string, SshAgentSource> {
  const agents = new Map<string, SshAgentSource>();
  for (const { id, paths, isRaw = false } of specs) {
    if (agents.has(id))
      throw flagError(
        FLAG,
        `the id ${JSON.stringify(id)} is given twice`,
        'give all keys of one id in one flag: id=KEY,KEY',
      );
    agents.set(
      id,
      atFlag(FLAG, () => (paths.length === 0 ? environmentAgent(env) : agentOf(id, paths, isRaw))),
    );
  }
  return agents;
}

/** Returns the agent at SSH_AUTH_SOCK. */
function environmentAgent(env: Readonly<Record<string, string | undefined>>): SshAgentSource {
  const path = env['SSH_AUTH_SOCK'];
  if (!path)
    throw new KilnError(
      'KILN_SSH_AGENT',
      'there is no ssh agent to lend: SSH_AUTH_SOCK is not set',
      {
        hint:
          'start ssh-agent and ssh-add a key (under sudo, keep the variable: sudo ' +
          '--preserve-env=SSH_AUTH_SOCK), or give a key file: --ssh default=PATH',
      },
    );
  if (!isAgentSocket(path))
    throw new KilnError('KILN_SSH_AGENT', `${path}, which SSH_AUTH_SOCK names, is not a socket`, {
      hint: 'give the socket of an agent, or files with private keys',
    });
  return socketAgent(path);
}

function agentOf(id: string, paths: readonly string[], isRaw: boolean): SshAgentSource {
  const hasSocket = paths.some(isAgentSocket);
  if (isRaw && !hasSocket)
    throw new KilnError('KILN_SSH_AGENT', `raw=true needs a socket, which ${paths[0]} is not`, {
      hint: 'name the socket, or leave out raw=true for a key file',
    });
  if (!hasSocket) return agentOfKeys(paths);
  if (paths.length > 1)
    throw flagError(
      FLAG,
      `the id ${JSON.stringify(id)} has a socket and other paths`,
      'give one socket, or only key files',
    );
  return (isRaw ? rawSocket : socketAgent)(paths[0] ?? '');
}
