import { randomBytes } from 'node:crypto';
import { type Digest, digestOf } from '../base/digest.ts';
import { messageOf } from '../base/errors.ts';
import type { ProgressSink } from '../base/progress.ts';

/** How the work of an internal step reports while it runs. */
export interface InternalStep {
  readonly vertex: Digest;
  /** Shows a finished status line, such as `transferring dockerfile: 80B`. */
  done(name: string): void;
}

/**
 * Runs work of Kiln itself and shows it in the progress as a vertex called `name`, such as
 * `[internal] load build definition from Dockerfile`.
 */
export async function internalStep<T>(
  progress: ProgressSink,
  name: string,
  work: (step: InternalStep) => Promise<T> | T,
): Promise<T> {
  const vertex = digestOf(`${name}\0${randomBytes(8).toString('hex')}`);
  const started = Date.now();
  progress({ kind: 'vertex', vertex, name, inputs: [], started });
  const done = (status: string) =>
    progress({
      kind: 'status',
      vertex,
      id: status,
      name: status,
      current: 0,
      total: 0,
      timestamp: Date.now(),
      started,
      completed: Date.now(),
    });
  try {
    const result = await work({ vertex, done });
    progress({ kind: 'vertex', vertex, name, inputs: [], started, completed: Date.now() });
    return result;
  } catch (error) {
    progress({
      kind: 'vertex',
      vertex,
      name,
      inputs: [],
      started,
      completed: Date.now(),
      error: messageOf(error),
    });
    throw error;
  }
}
