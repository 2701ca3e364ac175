import type { Executor } from '../../executor/executor.ts';
import type { DirectoryResult } from '../../solver/result.ts';
import { type StepSession, stepSession, type WantedFiles } from '../../solver/step-session.ts';
import type { BuildContext } from '../build-context.ts';
import { secretMarks } from './secret-memory.ts';

/** Finds a directory for the graph of a frontend. It holds at least the `wanted` files. */
export type LocalDirectory = (wanted: WantedFiles) => Promise<DirectoryResult>;

/** What runs steps on this host, and the directories behind `local://NAME` by their names. */
interface StepHost {
  readonly executor: Executor;
  readonly locals: ReadonlyMap<string, LocalDirectory>;
}

/**
 * Makes the session of the steps from the session of their build. It gives them secrets, ssh
 * agents and directories, and hands each failed step to the caller of the build.
 */
export function lendToSteps(
  { request, engine, session }: BuildContext,
  { executor, locals }: StepHost,
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
    directory: async (name, wanted) => await locals.get(name)?.(wanted),
    ...(onStepFailed && { onStepFailed: (step, signal) => onStepFailed(step, executor, signal) }),
  });
}
