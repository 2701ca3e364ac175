import type { Executor } from '../../executor/executor.ts';
import type { DirectoryResult } from '../../solver/result.ts';
import { type StepSession, stepSession } from '../../solver/step-session.ts';
import type { BuildOptions } from '../build-options.ts';
import type { BuildContext } from '../solve-build.ts';
import { openSecrets } from './secrets.ts';
import type { SshAgents } from './ssh-agents.ts';

/** What the steps of a build may use besides what is lent by options. */
interface Lent {
  readonly agents: SshAgents;
  readonly executor: Executor;
  /** Directories by the name of their `local://` source. */
  readonly locals: ReadonlyMap<string, DirectoryResult>;
}

/** What the caller of a build lends to its steps: `--secret`, `--ssh`, its directories, and a look at what failed. */
export function lendToSteps(
  options: Pick<BuildOptions, 'secrets'>,
  { session, host, failure }: BuildContext,
  { agents, executor, locals }: Lent,
): StepSession {
  const secrets = openSecrets(options.secrets, session.store, host);
  return stepSession({
    secret: secrets.read,
    ...(options.secrets.some(({ invalidate }) => invalidate) && { secretMark: secrets.mark }),
    sshSocket: agents.forStep,
    gitAgent: agents.forGit,
    directory: (name) => locals.get(name),
    ...(failure && { onStepFailed: (step, signal) => failure.step(step, executor, signal) }),
  });
}
