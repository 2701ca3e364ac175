import type { Executor } from '../../executor/executor.ts';
import type { DirectoryResult } from '../../solver/result.ts';
import { type StepSession, stepSession } from '../../solver/step-session.ts';
import type { BuildContext } from '../build-context.ts';
import { secretMarks } from './secret-memory.ts';

/**
 * What runs steps here, and the directories of the build by the name of their `local://` source.
 */
interface Here {
  readonly executor: Executor;
  readonly locals: ReadonlyMap<string, DirectoryResult>;
}

/**
 * What the session of a build lends to its steps: secrets, agents, directories, and a look at what
 * failed.
 */
export function lendToSteps(
  { request, engine, session }: BuildContext,
  { executor, locals }: Here,
): StepSession {
  const { secretsInKeys } = request;
  const { onStepFailed } = session;
  return stepSession({
    secret: (id) => session.secret(id),
    ...(secretsInKeys.length > 0 && {
      secretMark: secretMarks(session, secretsInKeys, engine.store),
    }),
    sshSocket: session.ssh.forStep,
    gitAgent: session.ssh.forGit,
    directory: (name) => locals.get(name),
    ...(onStepFailed && { onStepFailed: (step, signal) => onStepFailed(step, executor, signal) }),
  });
}
