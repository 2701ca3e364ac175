import { randomBytes } from 'node:crypto';
import { type Digest, digestOf } from '../base/digest.ts';
import { CancelledError, messageOf } from '../base/errors.ts';
import type { ExportContext } from './exporter.ts';

/** Reports the work of an exporter, in the words that buildx uses. */
export interface Report {
  /** Shows `name` as started, and as done when `body` has succeeded. */
  task<T>(
    name: string,
    body: (progress: (current: number, total: number) => void) => Promise<T>,
  ): Promise<T>;
  /** Shows `name` as done. */
  done(name: string): void;
}

/** Runs `body` as the vertex `name`. An export is never cached, so its vertex is new each time. */
export async function reported<T>(
  name: string,
  context: ExportContext,
  body: (report: Report) => Promise<T>,
): Promise<T> {
  const vertex = digestOf(randomBytes(32));
  const base = { kind: 'vertex', vertex, name, inputs: [] } as const;
  const started = Date.now();
  context.progress({ ...base, started });
  try {
    if (context.signal.aborted) throw new CancelledError(context.signal.reason);
    const value = await body(reportOf(vertex, context));
    context.progress({ ...base, started, completed: Date.now() });
    return value;
  } catch (error) {
    const cancelled = error instanceof CancelledError;
    context.progress({
      ...base,
      started,
      completed: Date.now(),
      error: messageOf(error),
      ...(cancelled ? { cancelled } : {}),
    });
    throw error;
  }
}

function reportOf(vertex: Digest, { progress }: ExportContext): Report {
  const emit = (id: string, started: number, current: number, total: number, completed?: number) =>
    progress({
      kind: 'status',
      vertex,
      id,
      name: id,
      current,
      total,
      timestamp: Date.now(),
      started,
      ...(completed === undefined ? {} : { completed }),
    });
  return {
    async task(id, body) {
      const started = Date.now();
      let [current, total] = [0, 0];
      emit(id, started, 0, 0);
      const value = await body((now, of) => {
        [current, total] = [now, of];
        emit(id, started, current, total);
      });
      emit(id, started, total || current, total, Date.now());
      return value;
    },
    done(id) {
      const now = Date.now();
      emit(id, now, 0, 0, now);
    },
  };
}
