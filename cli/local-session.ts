import { resolve } from 'node:path';
import { KilnError } from '../base/errors.ts';
import type { Engine } from '../builder/engine.ts';
import type { Session } from '../builder/session.ts';
import { standardOutput } from './binary-output.ts';
import type { BuildOptions } from './build-options.ts';
import { directoryAt } from './context-directory.ts';
import type { OnFailure } from './failure/on-failure.ts';
import { localSecrets } from './local-secrets.ts';
import { readFifo, readUpTo } from './read-stream.ts';
import { openSshAgents } from './ssh-agents.ts';
import { standardInput } from './stdin.ts';

/**
 * What this process lends to a build: directories and files as the flags name them, its
 * environment, standard input and agents.
 */
export function localSession(
  options: BuildOptions,
  engine: Pick<Engine, 'store'>,
  signal: AbortSignal,
  failure?: OnFailure | undefined,
): Session {
  const { env } = process;
  const input: Session['input'] = (max) => readUpTo(standardInput(), max, signal);
  const file = (path: string, max: number) => readFifo(path, max, signal);
  return {
    shownContext: options.shownContext,
    directory(name) {
      const lent = options.lentPaths.get(name);
      if (!lent)
        throw new KilnError(
          'KILN_CONTEXT_NOT_FOUND',
          `there is no context ${JSON.stringify(name)}`,
        );
      return {
        path: lent.kind === 'directory' ? directoryAt(lent.path) : resolve(lent.path),
        remembered: true,
      };
    },
    file,
    input,
    output: standardOutput(),
    secret: localSecrets(options.secrets, { env, readStdin: input, readPipe: file }),
    ssh: openSshAgents(options.ssh, env, engine.store),
    onStepFailed:
      failure && ((step, executor, stepSignal) => failure.step(step, executor, stepSignal)),
  };
}
