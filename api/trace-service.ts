import type { ServiceImpl } from '@connectrpc/connect';
import type { TraceService } from './proto/trace.gen.ts';

/** # TraceService: the spans that clients send are taken and not kept */
export const traceService: ServiceImpl<typeof TraceService> = {
  async export() {
    return {};
  },
};
