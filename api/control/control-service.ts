import type { ServiceImpl } from '@connectrpc/connect';
import { knownTraceparent } from '../../history/trace/traceparent.ts';
import { historyMethods } from '../history/history-service.ts';
import { pastStatus } from '../history/status-blob.ts';
import type { Control } from '../proto/control.gen.ts';
import type { WorkerRecord } from '../proto/worker.gen.ts';
import { pruned, usageRecords } from './disk-usage.ts';
import type { OpenBuilds } from './open-builds.ts';
import { type SolveHost, solve } from './solve.ts';
import { statusMessage } from './status-messages.ts';
import { workerFilter } from './worker-filter.ts';
import type { ServerVersion } from './workers.ts';

/** What the service works on. */
export interface ControlHost extends SolveHost {
  readonly builds: OpenBuilds;
  readonly version: ServerVersion;
  readonly workers: () => Promise<readonly WorkerRecord[]>;
  /** Aborts when the server ends. */
  readonly stopping: AbortSignal;
}

/** # Control: builds and their progress. Sessions of clients are `sessionMethod`. */
export function controlService(host: ControlHost): Partial<ServiceImpl<typeof Control>> {
  const { builds, history, version, workers } = host;
  return {
    async solve(request, { signal, requestHeader }) {
      const open = builds.begin(request.ref, request.frontendInputs);
      const ended = AbortSignal.any([signal, host.stopping]);
      const traceparent = knownTraceparent(requestHeader.get('traceparent'));
      ended.addEventListener('abort', () => open.driver.fail(ended.reason), { once: true });
      try {
        return { exporterResponse: await solve(request, open, host, ended, traceparent) };
      } catch (error) {
        open.driver.fail(error);
        throw error;
      } finally {
        builds.end(open);
      }
    },

    async *status({ ref }, { signal }) {
      const past = builds.isRunning(ref) ? undefined : history.find(ref);
      if (past?.ended) {
        yield* pastStatus(history.events(past));
        return;
      }
      const open = await builds.find(ref, signal);
      for await (const events of open.status.listen(signal)) yield statusMessage(events);
    },

    async listWorkers({ filter }) {
      const matches = workerFilter(filter);
      return { record: (await workers()).filter((worker) => matches(worker)) };
    },

    async diskUsage(request) {
      return { record: usageRecords(host.engine, request) };
    },

    async *prune(request, { signal }) {
      yield* await pruned(host.engine, request, signal);
    },

    async info() {
      return { buildkitVersion: version };
    },

    ...historyMethods(history, host.traces, host.stopping),
  };
}
