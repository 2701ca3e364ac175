import type { ConnectRouter } from '@connectrpc/connect';
import { CancelledError } from '../base/errors.ts';
import type { Engine } from '../builder/engine.ts';
import { releaseMemory } from '../snapshotter/sys/release.ts';
import { type ControlHost, controlService } from './control/control-service.ts';
import { OpenBuilds } from './control/open-builds.ts';
import { describedWorkers, serverVersion, type WorkerSettings } from './control/workers.ts';
import { bridgeService } from './gateway/bridge-service.ts';
import { clientBuilds } from './gateway/driven-builds.ts';
import type { InnerMethods } from './grpc/inner-server.ts';
import { served } from './grpc/served.ts';
import { healthService } from './health-service.ts';
import { BuildHistory } from './history/build-history.ts';
import { contentService } from './history/content-service.ts';
import { Content } from './proto/content.gen.ts';
import { Control } from './proto/control.gen.ts';
import { LLBBridge } from './proto/gateway.gen.ts';
import { Health } from './proto/health.gen.ts';
import { TraceService } from './proto/trace.gen.ts';
import { sessionMethod } from './session/session-method.ts';
import { Sessions } from './session/sessions.ts';
import { BuildTraces } from './trace/build-traces.ts';
import { openSpanSender, type TraceCollector } from './trace/otlp-export.ts';
import { traceService } from './trace/trace-service.ts';

export interface BuildServicesOptions {
  readonly engine: Engine;
  /** The version of Kiln. */
  readonly version: string;
  /** The entitlements that builds may have when their clients ask for them: none by default. */
  readonly entitlements?: readonly string[] | undefined;
  /** What clients are told of this host. */
  readonly worker?: WorkerSettings | undefined;
  /** Where the traces of builds and clients are sent, beside being kept with the history. */
  readonly traces?: TraceCollector | undefined;
  /** Told of errors that are bugs of ours. */
  readonly tell: (error: unknown) => void;
}

/** BuildKit's services, wherever they are listened for. */
export interface BuildServices extends AsyncDisposable {
  /** Adds the services to a router of a server. */
  readonly routes: (router: ConnectRouter) => void;
  /** The methods that are answered with their messages as bytes. */
  readonly byteMethods: InnerMethods;
  /** What the services work on: the builds that are open, and the sessions of clients. */
  readonly host: ControlHost;
}

/**
 * # BuildKit's services over an engine
 *
 * Clients of BuildKit (buildx, buildctl) find here what they expect of a daemon. All of it runs on
 * the one engine, by `build` of builder/. Disposed, it cancels what runs and tells the clients.
 */
export function openBuildServices({
  engine,
  version: own,
  entitlements = [],
  worker = {},
  traces: collector,
  tell,
}: BuildServicesOptions): BuildServices {
  const version = serverVersion(own);
  const builds = new OpenBuilds(() => void rest(engine));
  const workers = () => describedWorkers(engine, version, worker);
  const stopping = new AbortController();
  const sender = collector && openSpanSender(collector, (sentence) => engine.store.warn(sentence));
  const history = new BuildHistory(engine.store.logs, own);
  const traces = new BuildTraces(history, sender?.send);
  const host: ControlHost = {
    engine,
    builds,
    sessions: new Sessions(),
    history,
    traces,
    version,
    workers,
    granted: entitlements,
    stopping: stopping.signal,
  };
  return {
    host,
    byteMethods: new Map([sessionMethod(host.sessions)]),
    routes(router) {
      router.service(Control, served(controlService(host), tell));
      router.service(LLBBridge, served(bridgeService(clientBuilds(builds), workers), tell));
      router.service(Content, served(contentService(history), tell));
      router.service(TraceService, served(traceService(traces, sender?.send), tell));
      router.service(Health, served(healthService(stopping.signal), tell));
    },
    async [Symbol.asyncDispose]() {
      stopping.abort(new CancelledError());
      await builds.idle();
      traces.finalizeAll();
      await sender?.[Symbol.asyncDispose]();
    },
  };
}

/** Gives back what a server without builds does not need. */
async function rest(engine: Engine): Promise<void> {
  await engine.pool.rest();
  releaseMemory();
}
