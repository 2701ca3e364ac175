import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KilnError } from '../../../base/errors.ts';
import type { StepSession } from '../../step-session.ts';
import { type GitSource, withoutUserinfo } from './git-source.ts';
import type { GitHost } from './host.ts';

/**
 * The variables that make git use ssh. ssh uses the agent of the caller, and no other keys, no
 * configuration and no prompts. If the graph gives known hosts, only their keys are accepted.
 * Otherwise the caller's known hosts are used, and the first key of an unknown host is accepted and
 * saved. Rejects with KILN_SSH_AGENT.
 */
export async function sshCommand(
  source: GitSource,
  host: GitHost,
  session: StepSession,
): Promise<AsyncDisposable & { readonly env: Record<string, string> }> {
  await using stack = new AsyncDisposableStack();
  const agent = source.ssh === undefined ? undefined : await session.gitAgent(source.ssh);
  if (!agent)
    throw new KilnError(
      'KILN_SSH_AGENT',
      `no ssh agent ${JSON.stringify(source.ssh ?? 'default')} for ` +
        `${withoutUserinfo(source.remote)}`,
      {
        hint: 'start ssh-agent, ssh-add a key, and build with --ssh default',
      },
    );
  stack.use(agent);
  const files =
    source.knownHosts === undefined ? host.knownHosts : [knownHostsFile(source.knownHosts, stack)];
  const options = [
    'BatchMode=yes',
    'ConnectTimeout=15',
    'IdentityFile=none',
    `StrictHostKeyChecking=${source.knownHosts === undefined ? 'accept-new' : 'yes'}`,
    `UserKnownHostsFile=${files.map((file) => `"${file}"`).join(' ')}`,
  ];
  const command = ['ssh', '-F', '/dev/null', ...options.flatMap((option) => ['-o', option])]
    .map(shellQuoted)
    .join(' ');
  const owned = stack.move();
  return {
    env: { SSH_AUTH_SOCK: agent.socket, GIT_SSH_COMMAND: command, GIT_SSH_VARIANT: 'ssh' },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function knownHostsFile(lines: string, stack: AsyncDisposableStack): string {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-ssh-'));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'known_hosts');
  writeFileSync(file, lines, { mode: 0o600 });
  return file;
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
