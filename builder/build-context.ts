import type { ProgressSink } from '../base/progress.ts';
import type { RegistryOptions } from '../registry/client.ts';
import { anonymous } from '../registry/credentials.ts';
import type { BuildResult } from '../solver/result.ts';
import type { SolverOptions } from '../solver/solver.ts';
import type { Engine } from './engine.ts';
import type { Foresight } from './foresight.ts';
import type { BuildRequest } from './request.ts';
import type { Session } from './session.ts';

/** One running build: the arguments of `build`, and what is opened for it. */
export interface BuildContext {
  readonly request: BuildRequest;
  readonly engine: Engine;
  readonly session: Session;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
  /** Holds what is opened for the build. It is disposed after the export. */
  readonly scope: AsyncDisposableStack;
  /** Lets the build go on while registries are asked. Undefined when it waits for their answers. */
  readonly foresight?: Foresight | undefined;
  /** Told of the vertices whose keys are known, at the end of each solve. */
  readonly onKeyed?: SolverOptions<BuildResult>['onKeyed'];
  /** The ID of the build and of its log. Undefined when a question is answered without a build. */
  readonly buildId?: string | undefined;
}

/** How registries are reached in this build: as the engine says, with the logins of the session. */
export async function registryOf({
  engine,
  session,
}: Pick<BuildContext, 'engine' | 'session'>): Promise<RegistryOptions> {
  const settings = await engine.settings.registry();
  return { ...settings, credentials: session.credentials ?? anonymous };
}
