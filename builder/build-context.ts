import type { ProgressSink } from '../base/progress.ts';
import type { RegistryOptions } from '../registry/client.ts';
import type { Engine } from './engine.ts';
import type { BuildRequest } from './request.ts';
import type { Session } from './session.ts';

/**
 * One running build: what was asked, what it runs on, what it was lent, and what is opened for it.
 */
export interface BuildContext {
  readonly request: BuildRequest;
  readonly engine: Engine;
  readonly session: Session;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
  /** What is opened for the build and closed after its export. */
  readonly scope: AsyncDisposableStack;
  /** The name of this build: that of its log. */
  readonly buildId?: string | undefined;
}

/**
 * How registries are spoken to in this build: as the engine does, with the logins of the session.
 */
export async function registryOf({
  engine,
  session,
}: Pick<BuildContext, 'engine' | 'session'>): Promise<RegistryOptions> {
  const options = await engine.settings.registry();
  return session.credentials ? { ...options, credentials: session.credentials } : options;
}
