import type { ServiceImpl } from '@connectrpc/connect';
import type { TraceService } from '../proto/trace.gen.ts';
import type { BuildTraces } from './build-traces.ts';
import type { SendSpans } from './otlp-export.ts';
import { spansOf } from './otlp-spans.ts';

/**
 * # TraceService: the spans that clients send
 *
 * Those of a build are kept with its record. All are passed on when `send` is given.
 */
export function traceService(
  traces: BuildTraces,
  send: SendSpans | undefined,
): ServiceImpl<typeof TraceService> {
  return {
    async export(request) {
      traces.take(spansOf(request));
      send?.(request);
      return {};
    },
  };
}
