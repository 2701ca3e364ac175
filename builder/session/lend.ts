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
    async directory(name, wanted) {
      const isOurs = session.id === undefined || ['', session.id].includes(wanted.session);
      const local = isOurs ? locals.get(name) : undefined;
      if (local) return await local(wanted);
      // A graph that no frontend made names directories of the caller as they are.
      const { path, remembered } = await session.directory(name, wanted);
      return { kind: 'directory', root: path, ...(remembered && { memory: path }) };
    },
    ...(onStepFailed && { onStepFailed: (step, signal) => onStepFailed(step, executor, signal) }),
  });
}
