import { resolve } from 'node:path';
import { KilnError } from '../base/errors.ts';
import type { Engine } from '../builder/engine.ts';
import type { Session } from '../builder/session.ts';
import type { LookListener } from '../cache/contenthash.ts';
import { standardOutput } from './binary-output.ts';
import type { BuildOptions } from './build-options.ts';
import { directoryAt } from './context-directory.ts';
import type { OnFailure } from './failure/on-failure.ts';
import { localSecrets } from './local-secrets.ts';
import { readFifo, readUpTo } from './read-stream.ts';
import { userCredentials } from './registry-options.ts';
import { openSshAgents } from './ssh-agents.ts';
import { standardInput } from './stdin.ts';

/**
 * Returns the session of a build that the command line runs. It lends the directories, files,
 * secrets and ssh agents that the flags name, the environment, standard input and output, and the
 * logins of the user. `failure` is called when a step fails, and `onLook` for each path of a
 * directory that is looked up. Reading ends when `signal` is aborted.
 */
export function localSession(
  options: BuildOptions,
  engine: Pick<Engine, 'store'>,
  signal: AbortSignal,
  failure?: OnFailure | undefined,
  onLook?: LookListener | undefined,
): Session {
  const { env } = process;
  const loans = localLoans(options, signal);
  return {
    ...loans,
    directory: async (name) => ({ path: loans.placeOf(name), remembered: true, onLook }),
    ssh: openSshAgents(options.ssh, env, engine.store),
    credentials: userCredentials(env, options.authFile),
    onStepFailed:
      failure && ((step, executor, stepSignal) => failure.step(step, executor, stepSignal)),
  };
}

/** What the process lends to a build, wherever that runs. */
export function localLoans(
  options: BuildOptions,
  signal: AbortSignal,
): Pick<Session, 'shownContext' | 'placeOf' | 'file' | 'input' | 'secret'> & {
  readonly output: NonNullable<Session['output']>;
} {
  const { env } = process;
  const input: Session['input'] = (max) => readUpTo(standardInput(), max, signal);
  const file = (path: string, max: number) => readFifo(path, max, signal);
  const pathOf = (name: string): string => {
    const lent = options.lentPaths.get(name);
    if (!lent)
      throw new KilnError('KILN_CONTEXT_NOT_FOUND', `there is no context ${JSON.stringify(name)}`);
    if (lent.kind !== 'directory') return resolve(lent.path);
    try {
      return directoryAt(lent.path);
    } catch (error) {
      throw name === 'context' ? error : ofNamedContext(error, name);
    }
  };
  return {
    shownContext: options.shownContext,
    placeOf: pathOf,
    file,
    input,
    output: standardOutput(),
    secret: localSecrets(options.secrets, { env, readStdin: input, readPipe: file }),
  };
}

/** The error for the directory of a named context says which flag names it. */
function ofNamedContext(error: unknown, name: string): unknown {
  if (!(error instanceof KilnError)) return error;
  return error
    .at({ kind: 'flag', flag: '--build-context' })
    .with({ hint: `name an existing directory: --build-context ${name}=DIRECTORY` });
}
