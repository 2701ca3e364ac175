import { spawn } from 'node:child_process';
import { CancelledError, errnoOf, KilnError } from '../../../base/errors.ts';

/** One run of git. */
export interface GitRun {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly signal: AbortSignal;
  readonly input?: string | Buffer;
  /** Called with what git writes to standard error. */
  readonly onText?: (text: Buffer) => void;
}

export interface GitOutput {
  readonly code: number;
  readonly stdout: Buffer;
  /** The last 8 KiB of standard error. */
  readonly stderr: string;
}

/**
 * The configuration of every run; besides it there is only the repository's own. git checks what it
 * receives, and runs no hooks, no credential helpers and nothing in the background. The errors of
 * `fetch.fsck.*` that are ignored occur in old repositories and are harmless.
 */
const CONFIG: readonly (readonly [string, string])[] = [
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  ['core.logAllRefUpdates', 'false'],
  ['core.quotePath', 'false'],
  ['credential.helper', ''],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['init.defaultBranch', 'master'],
  ['advice.detachedHead', 'false'],
  ['protocol.version', '2'],
  ['http.lowSpeedLimit', '100'],
  ['http.lowSpeedTime', '60'],
  ['fetch.fsckObjects', 'true'],
  ...[
    'zeroPaddedFilemode',
    'badTimezone',
    'missingSpaceBeforeDate',
    'missingSpaceBeforeEmail',
    'missingNameBeforeEmail',
    'missingEmail',
    'missingTaggerEntry',
    'badDate',
    'badDateOverflow',
    'multipleAuthors',
  ].map((id) => [`fetch.fsck.${id}`, 'ignore'] as const),
];

/** The protocols that a remote may use. */
export const REMOTE_PROTOCOLS = 'http:https:ssh:git';

/**
 * The environment of git. It contains no configuration of the caller, and allows no prompts and no
 * protocols but the given ones. Configuration is passed in the environment, because everybody can
 * read the arguments of a process.
 */
export function gitEnvironment(
  caller: Readonly<Record<string, string>>,
  protocols: string,
  config: readonly (readonly [string, string])[] = [],
): Record<string, string> {
  const all = [...CONFIG, ...config];
  const pairs = all.flatMap(([key, value], i) => [
    [`GIT_CONFIG_KEY_${i}`, key],
    [`GIT_CONFIG_VALUE_${i}`, value],
  ]);
  return {
    ...caller,
    HOME: '/nonexistent',
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: 'true',
    // ssh is disabled. A run with an ssh agent overrides this (ssh.ts).
    GIT_SSH_COMMAND: 'false',
    GIT_ALLOW_PROTOCOL: protocols,
    GIT_CONFIG_COUNT: String(all.length),
    ...Object.fromEntries(pairs),
  };
}

/** A limit for git's standard output. Only a hostile server makes it longer; git is then killed. */
const OUTPUT_LIMIT = 512 << 20;

/**
 * Runs git until it ends. An exit code other than 0 is not an error here. Rejects with
 * KILN_TOOL_MISSING, or with CancelledError when the signal aborts.
 */
export async function runGit(args: readonly string[], run: GitRun): Promise<GitOutput> {
  run.signal.throwIfAborted();
  // The shell sets the umask. `detached` gives git its own process group, so that its helpers are
  // killed with it.
  const child = spawn('/bin/sh', ['-c', 'umask 022; exec git "$@"', 'git', ...args], {
    cwd: run.cwd,
    env: run.env,
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const kill = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch (error) {
      if (errnoOf(error) !== 'ESRCH') throw error;
    }
  };
  run.signal.addEventListener('abort', kill, { once: true });
  const stdout: Buffer[] = [];
  let stderr = '';
  let size = 0;
  child.stdout.on('data', (data: Buffer) => {
    stdout.push(data);
    size += data.length;
    if (size > OUTPUT_LIMIT) kill();
  });
  child.stderr.on('data', (data: Buffer) => {
    stderr = (stderr + data.toString()).slice(-8192);
    run.onText?.(data);
  });
  child.stdin.on('error', () => {});
  child.stdin.end(run.input ?? '');
  try {
    const code = await new Promise<number>((done, fail) => {
      child.once('error', fail).once('close', (status) => done(status ?? -1));
    });
    if (run.signal.aborted) throw new CancelledError(run.signal.reason);
    if (code === 127) throw missing();
    return { code, stdout: Buffer.concat(stdout), stderr };
  } finally {
    run.signal.removeEventListener('abort', kill);
  }
}

function missing(): KilnError {
  return new KilnError(
    'KILN_TOOL_MISSING',
    'the build reads a git repository, and git is not installed on this machine',
    {
      hint: 'apt-get install git',
    },
  );
}
