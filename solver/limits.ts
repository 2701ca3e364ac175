import type { Queue } from '../base/queue.ts';

/** What an op mostly uses, and which limit it counts against. `none` is not limited. */
export type Resource = 'process' | 'network' | 'cpu' | 'none';

/** How many ops of each resource run at once. */
export interface Limits {
  /**
   * Runs `task` as soon as the limit allows it, and settles as it does. If the signal aborts before
   * the task has begun, rejects with the abort reason. Once the task has begun, the signal has no
   * effect here: the task may listen to it.
   */
  run<T>(resource: Resource, signal: AbortSignal, task: () => Promise<T>): Promise<T>;
}

/** `limits` says for each resource how many tasks run at the same time. */
export function createLimits(limits: Readonly<Record<Exclude<Resource, 'none'>, number>>): Limits {
  let queues: Promise<Readonly<Record<Exclude<Resource, 'none'>, Queue>>> | undefined;

  const load = async () => {
    const { Queue } = await import('../base/queue.ts');
    return {
      process: new Queue({ concurrency: limits.process }),
      network: new Queue({ concurrency: limits.network }),
      cpu: new Queue({ concurrency: limits.cpu }),
    };
  };

  return {
    async run<T>(resource: Resource, signal: AbortSignal, task: () => Promise<T>): Promise<T> {
      signal.throwIfAborted();
      if (resource === 'none') return await task();
      const queue = (await (queues ??= load()))[resource];
      // The queue removes a waiting task when its signal aborts, but it would also abandon a task
      // that has begun. So it gets a signal of our own, which is disconnected when the task begins.
      const waiting = new AbortController();
      const stop = () => waiting.abort(signal.reason);
      signal.throwIfAborted();
      signal.addEventListener('abort', stop, { once: true });
      try {
        return await queue.add(
          () => {
            signal.removeEventListener('abort', stop);
            return task();
          },
          { signal: waiting.signal },
        );
      } finally {
        signal.removeEventListener('abort', stop);
      }
    },
  };
}
