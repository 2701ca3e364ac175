import type { HandlerContext } from '@connectrpc/connect';

/** So many errors are remembered, the last ones. */
const MAX_REMEMBERED = 100;

type Method = (request: never, context: HandlerContext) => unknown;

/** The methods of a service, with what became of their calls. */
export interface WatchedMethods<T> {
  readonly methods: T;
  /** The errors that calls were answered with, in order. */
  readonly refused: readonly unknown[];
  /** Settles when no call is running. */
  readonly idle: () => Promise<void>;
}

/** Wraps the methods of a service so that it is known how their calls end. */
export function watchedMethods<T extends Readonly<Record<string, unknown>>>(
  methods: T,
): WatchedMethods<T> {
  const refused: unknown[] = [];
  const running = new Set<Promise<unknown>>();
  const watch = async (answer: Promise<unknown>): Promise<unknown> => {
    running.add(answer);
    try {
      return await answer;
    } catch (error) {
      refused.push(error);
      if (refused.length > MAX_REMEMBERED) refused.shift();
      throw error;
    } finally {
      running.delete(answer);
    }
  };
  const wrapped = Object.entries(methods).map(([name, method]) => [
    name,
    (request: never, context: HandlerContext) => {
      const answer = (method as Method)(request, context);
      return answer instanceof Promise ? watch(answer) : answer;
    },
  ]);
  return {
    methods: Object.fromEntries(wrapped) as T,
    refused,
    idle: async () => void (await Promise.allSettled(running)),
  };
}
