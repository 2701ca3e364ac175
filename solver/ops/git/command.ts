import { spawn } from 'node:child_process';
import { CancelledError, errnoOf, KilnError } from '../../../base/errors.ts';

/** One run of git. */
export interface GitRun {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly signal: AbortSignal;
  readonly input?: string | Buffer;
  /** What git says to the user. */
  readonly onText?: (text: Buffer) => void;
}

export interface GitOutput {
  readonly code: number;
  readonly stdout: Buffer;
  /** Its last 8 KiB. */
  readonly stderr: string;
}

/**
 * Configuration for every run, besides which there is none but the repository's own: git's own
 * checks of what it receives, no hook, no helper, nothing in the background. The severities let
 * pass what old repositories have and harms nobody.
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

/** The protocols that a remote may be reached by. */
export const REMOTE_PROTOCOLS = 'http:https:ssh:git';

/**
 * The environment of git: nothing of the caller's configuration, no questions, no protocol but
 * those named. Configuration goes by the environment, as arguments can be read by everybody.
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
    // Only who has an agent for it speaks ssh, and then it is called as ssh.ts says.
    GIT_SSH_COMMAND: 'false',
    GIT_ALLOW_PROTOCOL: protocols,
    GIT_CONFIG_COUNT: String(all.length),
    ...Object.fromEntries(pairs),
  };
}

/**
 * What git lists is not longer than this, unless a server wants to fill our memory: then git is
 * ended.
 */
const OUTPUT_LIMIT = 512 << 20;

/**
 * Runs git to its end; a code other than 0 is no error here. Throws KILN_TOOL_MISSING, or a
 * CancelledError when the signal aborts.
 */
export async function runGit(args: readonly string[], run: GitRun): Promise<GitOutput> {
  run.signal.throwIfAborted();
  // The shell sets what the modes of files are made with. A process group of its own, so that git's
  // helpers end with it.
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
    'the build reads a git repository, and there is no git on this machine',
    {
      hint: 'apt-get install git',
    },
  );
}
