import type PQueue from 'p-queue';

export type Resource = 'process' | 'network' | 'cpu' | 'none';

/** How many ops of each resource run at once. */
export interface Limits {
  /**
   * Runs `task` when there is a place for it. Rejects with the abort reason if the signal aborts
   * before the task has begun; once begun, settles only when the task does, however the signal
   * stands.
   */
  run<T>(resource: Resource, signal: AbortSignal, task: () => Promise<T>): Promise<T>;
}

export function createLimits(limits: Readonly<Record<Exclude<Resource, 'none'>, number>>): Limits {
  let queues: Promise<Readonly<Record<Exclude<Resource, 'none'>, PQueue>>> | undefined;

  // Loaded with the first op that runs: a build that is all cached never pays for it.
  const load = async () => {
    const { default: Queue } = await import('p-queue');
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
      // The queue takes a waiting task out when the signal aborts, but it would also abandon one
      // that has begun: hence a signal that is deaf from then on.
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
