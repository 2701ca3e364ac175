import { randomBytes } from 'node:crypto';
import { type Digest, digestOf } from '../base/digest.ts';
import { messageOf } from '../base/errors.ts';
import type { ProgressSink, StatusEvent } from '../base/progress.ts';

/** How the work of an internal step reports while it runs. */
export interface InternalStep {
  readonly vertex: Digest;
  /** Shows a finished status line, such as `importing cache manifest`. */
  done(name: string): void;
  /** Shows a finished transfer of so many bytes, such as `transferring dockerfile:`. */
  transferred(what: string, bytes: number): void;
}

/** Shows a step of Kiln itself that is over: a transfer of so many bytes. */
export function finishedStep(
  progress: ProgressSink,
  name: string,
  transferred: { readonly what: string; readonly bytes: number },
): void {
  const vertex = newVertex(name);
  const now = Date.now();
  progress({ kind: 'vertex', vertex, name, inputs: [], started: now });
  progress(finishedStatus(vertex, transferred.what, now, transferred.bytes));
  progress({ kind: 'vertex', vertex, name, inputs: [], started: now, completed: now });
}

function newVertex(name: string): Digest {
  return digestOf(`${name}\0${randomBytes(8).toString('hex')}`);
}

function finishedStatus(vertex: Digest, id: string, started: number, current: number): StatusEvent {
  const now = Date.now();
  const times = { started, completed: now, timestamp: now };
  return { kind: 'status', vertex, id, name: id, current, total: 0, ...times };
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
  const vertex = newVertex(name);
  const started = Date.now();
  progress({ kind: 'vertex', vertex, name, inputs: [], started });
  const transferred: InternalStep['transferred'] = (what, bytes) =>
    progress(finishedStatus(vertex, what, started, bytes));
  const done: InternalStep['done'] = (status) =>
    progress(finishedStatus(vertex, status, started, 0));
  try {
    const result = await work({ vertex, transferred, done });
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
