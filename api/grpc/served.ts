import type { HandlerContext } from '@connectrpc/connect';
import { refuse } from './grpc-status.ts';

type Answer = Promise<unknown> | AsyncIterable<unknown>;
type Method = (request: never, context: HandlerContext) => Answer;

/**
 * The methods of a service. Each of their errors reaches the client as `refuse` says, and `tell`
 * is told of those that are bugs.
 */
export function served<T extends Readonly<Record<string, unknown>>>(
  methods: T,
  tell: (error: unknown) => void,
): T {
  const wrapped = Object.entries(methods).map(([name, method]) => [
    name,
    (request: never, context: HandlerContext): Answer => {
      try {
        const answer = (method as Method)(request, context);
        if (Symbol.asyncIterator in answer) return streamed(answer, context, tell);
        return answer.catch((error) => refuse(error, context, tell));
      } catch (error) {
        return refuse(error, context, tell);
      }
    },
  ]);
  return Object.fromEntries(wrapped) as T;
}

async function* streamed(
  answer: AsyncIterable<unknown>,
  context: HandlerContext,
  tell: (error: unknown) => void,
): AsyncGenerator<unknown> {
  try {
    yield* answer;
  } catch (error) {
    refuse(error, context, tell);
  }
}
