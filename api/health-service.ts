import type { ServiceImpl } from '@connectrpc/connect';
import { type Health, HealthCheckResponse_ServingStatus } from './proto/health.gen.ts';

/** # Health: a server that answers serves */
export const healthService: Partial<ServiceImpl<typeof Health>> = {
  async check() {
    return { status: HealthCheckResponse_ServingStatus.SERVING };
  },
};
