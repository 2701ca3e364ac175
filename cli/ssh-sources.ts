import { readFileSync, type Stats, statSync } from 'node:fs';
import { basename } from 'node:path';
import { errnoOf, KilnError } from '../base/errors.ts';
import { osError } from '../base/oserror.ts';
import type { SshAgentSource } from '../executor/ssh/agent.ts';
import { keyAgent } from '../executor/ssh/key-agent.ts';
import { readSigningKey, type SigningKey } from '../executor/ssh/signing-key.ts';
import { socketAgent } from '../executor/ssh/socket-agent.ts';
import { brokenLink } from '../snapshotter/sys/brokenlink.ts';
import type { SshSpec } from './build-options.ts';

/** The most bytes that a key file may have. Real ones are far smaller. */
const KEY_LIMIT = 100 * 1024;

const PLACE = { kind: 'flag', flag: '--ssh' } as const;

/**
 * Returns the agents that `--ssh` lends, by id: the agent at a socket, or an agent with keys from
 * files. The files are read now. Throws KILN_SSH_AGENT, KILN_SSH_KEY or KILN_FLAG_VALUE.
 */
export function readSshSources(
  specs: readonly SshSpec[],
  env: Readonly<Record<string, string | undefined>>,
): ReadonlyMap<string, SshAgentSource> {
  const agents = new Map<string, SshAgentSource>();
  for (const { id, paths } of specs) {
    if (agents.has(id))
      throw flagError(
        `the id ${JSON.stringify(id)} is given twice`,
        'give all keys of one id in one flag: id=KEY,KEY',
      );
    agents.set(id, paths.length === 0 ? environmentAgent(env) : agentOf(id, paths));
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
        place: PLACE,
        hint:
          'start ssh-agent and ssh-add a key (under sudo, keep the variable: sudo ' +
          '--preserve-env=SSH_AUTH_SOCK), or give a key file: --ssh default=PATH',
        exitCode: 2,
      },
    );
  if (!statOf(path).isSocket())
    throw noAgent(`${path}, which SSH_AUTH_SOCK names, is not a socket`);
  return socketAgent(path);
}

function agentOf(id: string, paths: readonly string[]): SshAgentSource {
  const sockets = paths.filter((path) => statOf(path).isSocket());
  if (sockets.length === 0) return keyAgent(paths.map(keyAt));
  if (paths.length > 1)
    throw flagError(
      `the id ${JSON.stringify(id)} has a socket and other paths`,
      'give one socket, or only key files',
    );
  return socketAgent(paths[0] ?? '');
}

function keyAt(path: string): SigningKey {
  const stat = statOf(path);
  // A pipe, such as `<(command)`, is accepted like a file.
  if (!(stat.isFile() || stat.isFIFO()) || stat.size > KEY_LIMIT)
    throw noAgent(`${path} is neither a socket nor a key file`);
  try {
    return readSigningKey(readFileSync(path), basename(path));
  } catch (error) {
    if (!(error instanceof KilnError)) throw unreadable(path, error);
    const { code, message, hint } = error;
    throw new KilnError(code, `${message}: ${path}`, { place: PLACE, hint, exitCode: 2 });
  }
}

function statOf(path: string): Stats {
  try {
    return statSync(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw unreadable(path, error);
    const target = brokenLink(path);
    const missing =
      target === undefined
        ? 'there is no such socket or key file'
        : `it is a link to ${JSON.stringify(target)}, which does not exist`;
    throw noAgent(`${path}: ${missing}`);
  }
}

function unreadable(path: string, error: unknown): unknown {
  return osError(error, {
    code: 'KILN_SSH_AGENT',
    what: `${path} cannot be read`,
    path,
    place: PLACE,
    exitCode: 2,
  });
}

function noAgent(what: string): KilnError {
  return new KilnError('KILN_SSH_AGENT', what, {
    place: PLACE,
    hint: 'give the socket of an agent, or files with private keys',
    exitCode: 2,
  });
}

function flagError(what: string, hint: string): KilnError {
  return new KilnError('KILN_FLAG_VALUE', what, { place: PLACE, hint, exitCode: 2 });
}
