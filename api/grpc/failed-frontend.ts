import { KilnError } from '../../base/errors.ts';

/** A cause of an error: the frontend that was asked. Clients are told which one. */
export class FailedFrontend extends Error {
  readonly frontend: string;
  /** The image of the frontend; empty when it has none. */
  readonly source: string;

  constructor(frontend: string, source: string, cause: unknown) {
    super(`the frontend ${frontend} has failed`, { cause });
    this.name = 'FailedFrontend';
    this.frontend = frontend;
    this.source = source;
  }
}

/** Returns what `ask` answers. An error of it gets a cause that names the frontend. */
export async function ofFrontend<T>(
  frontend: string,
  source: string,
  ask: () => Promise<T>,
): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    throw error.with({ cause: new FailedFrontend(frontend, source, error.cause) });
  }
}
