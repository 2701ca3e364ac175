import { Code, ConnectError } from '@connectrpc/connect';
import { Health } from '../proto/health.gen.ts';
import type { InnerClient } from './inner-client.ts';

/** As often as BuildKit asks, as long as it waits, and with its patience. */
const ASK_MS = 5_000;
const ANSWER_MS = 15_000;
const FAILURES = 2;

/**
 * Ends a connection whose other side does not answer any more, though nothing was closed: its host
 * is gone, or it was stopped. Looks until the result is disposed.
 */
export function watchPeer(client: InnerClient): Disposable {
  let failures = 0;
  let isAsking = false;
  const ask = async () => {
    try {
      await client.unary(Health.method.check, {}, AbortSignal.timeout(ANSWER_MS));
      failures = 0;
    } catch (error) {
      // Who does not know the question has answered.
      if (ConnectError.from(error).code === Code.Unimplemented) failures = 0;
      else if (++failures === FAILURES) client[Symbol.dispose]();
    } finally {
      isAsking = false;
    }
  };
  const watch = setInterval(() => {
    if (isAsking || client.closed.aborted) return;
    isAsking = true;
    void ask();
  }, ASK_MS).unref();
  return { [Symbol.dispose]: () => clearInterval(watch) };
}
