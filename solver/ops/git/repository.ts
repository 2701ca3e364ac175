import type { SourceContext } from '../source-context.ts';
import { type GitOutput, gitEnvironment, REMOTE_PROTOCOLS, runGit } from './command.ts';
import { gitFailure } from './failures.ts';
import { type GitSource, isSsh } from './git-source.ts';
import type { GitHost } from './host.ts';
import { sshCommand } from './ssh.ts';

/** git, run for one source with the rights that its remote needs. */
export interface Git {
  /** What git prints. Throws what gitFailure makes of a failure; `what` is for its message. */
  run(what: string, args: readonly string[], options?: RunOptions): Promise<Buffer>;
  /** As `run`, and a failure is the caller's to look at. */
  tryRun(args: readonly string[], options?: RunOptions): Promise<GitOutput>;
}

export interface RunOptions {
  readonly input?: string | Buffer;
  /** More of the environment, such as GIT_DIR. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /**
   * The run speaks to the remote: only then it has the login and the agent, and its words are
   * shown.
   */
  readonly remote?: boolean;
  /** Instead of the remote's: `file` to read the shared repository. */
  readonly protocols?: string;
}

export interface GitRights {
  readonly authorization: string | undefined;
  /**
   * The remote that it is for. Submodules come from wherever a stranger says: they get it only
   * where they are below this.
   */
  readonly scope: string;
}

export function gitFor(
  source: GitSource,
  rights: GitRights,
  host: GitHost,
  context: SourceContext,
): Git {
  const { progress, vertex, signal, session } = context;
  const onText = (data: Buffer) =>
    progress({ kind: 'log', vertex, stream: 2, data, timestamp: Date.now() });
  const tryRun: Git['tryRun'] = async (args, options = {}) => {
    const { remote = false, input, cwd = '/' } = options;
    const config: [string, string][] = [];
    if (remote && rights.authorization !== undefined)
      config.push([
        `http.${scopeOf(rights.scope)}.extraHeader`,
        `Authorization: ${rights.authorization}`,
      ]);
    await using ssh =
      remote && isSsh(source.remote) ? await sshCommand(source, host, session) : undefined;
    const env = {
      ...gitEnvironment(
        host.env,
        options.protocols ?? (remote ? REMOTE_PROTOCOLS : 'none'),
        config,
      ),
      ...ssh?.env,
      ...options.env,
    };
    return await runGit(args, {
      env,
      cwd,
      signal,
      ...(input !== undefined && { input }),
      ...(remote && { onText }),
    });
  };
  return {
    tryRun,
    async run(what, args, options) {
      const output = await tryRun(args, options);
      if (output.code !== 0) throw gitFailure(what, output);
      return output.stdout;
    },
  };
}

/**
 * A login is for its repository only; with GitHub for all of them, as a token there is, so that
 * submodules are found too.
 */
function scopeOf(remote: string): string {
  return /^https:\/\/(www\.)?github\.com\//.exec(remote)?.[0] ?? remote;
}
