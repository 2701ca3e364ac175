import type { ServiceImpl } from '@connectrpc/connect';
import { type Health, HealthCheckResponse_ServingStatus as Serving } from './proto/health.gen.ts';

/** # Health: a server that answers serves, until it ends */
export function healthService(stopping: AbortSignal): ServiceImpl<typeof Health> {
  return {
    async check() {
      return { status: Serving.SERVING };
    },

    async *watch(_request, { signal }) {
      yield { status: Serving.SERVING };
      const over = AbortSignal.any([signal, stopping]);
      if (!over.aborted)
        await new Promise<void>((resolve) => {
          over.addEventListener('abort', () => resolve(), { once: true });
        });
      if (!signal.aborted) yield { status: Serving.NOT_SERVING };
    },
  };
}
