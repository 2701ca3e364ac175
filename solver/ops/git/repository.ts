import type { SourceContext } from '../source-context.ts';
import { type GitOutput, gitEnvironment, REMOTE_PROTOCOLS, runGit } from './command.ts';
import { gitFailure } from './failures.ts';
import { type GitSource, isSsh } from './git-source.ts';
import type { GitHost } from './host.ts';
import { sshCommand } from './ssh.ts';

/** Runs git for one source, with the rights that its remote needs. */
export interface Git {
  /**
   * Runs git and returns its standard output. If git fails, rejects with the error of `gitFailure`,
   * whose message says `what` was tried.
   */
  run(what: string, args: readonly string[], options?: RunOptions): Promise<Buffer>;
  /** As `run`, but the caller looks at the exit code. */
  tryRun(args: readonly string[], options?: RunOptions): Promise<GitOutput>;
}

export interface RunOptions {
  readonly input?: string | Buffer;
  /** More variables, such as GIT_DIR. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /**
   * True if the run connects to the remote. Only such a run gets the login and the ssh agent, and
   * its messages are reported.
   */
  readonly remote?: boolean;
  /** The allowed protocols, instead of those for a remote. `file` reads the mirror. */
  readonly protocols?: string;
}

/** A login for a remote. */
export interface GitRights {
  readonly authorization: string | undefined;
  /**
   * The remote that the login is for. A submodule may have any URL, and gets the login only if its
   * URL is below this one.
   */
  readonly scope: string;
}

/** Makes the Git of one source. Its progress is reported, and its runs end, as `context` says. */
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
 * The URL prefix for which git sends the login. That is the repository alone, except at GitHub: a
 * token there is valid for many repositories, so that submodules can be fetched with it.
 */
function scopeOf(remote: string): string {
  return /^https:\/\/(www\.)?github\.com\//.exec(remote)?.[0] ?? remote;
}
