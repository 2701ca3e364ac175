import { Code, ConnectError } from '@connectrpc/connect';
import { KilnError } from '../../base/errors.ts';
import { build } from '../../builder/build.ts';
import type { Engine } from '../../builder/engine.ts';
import { type BuildRequest, buildRequest } from '../../builder/request.ts';
import { memorySession } from '../../builder/session/memory-session.ts';
import { lendersOf } from '../gateway/context-options.ts';
import { readFrontendOptions, resultOptions } from '../gateway/frontend-options.ts';
import type { AskedFrontend } from '../gateway/option-maps.ts';
import { readPolicies } from '../gateway/source-policies.ts';
import type { BuildHistory } from '../history/build-history.ts';
import { loggedOf } from '../history/history-messages.ts';
import type { SolveRequest } from '../proto/control.gen.ts';
import type { ClientSession } from '../session/client-session.ts';
import { remoteSession } from '../session/remote-session.ts';
import type { Sessions } from '../session/sessions.ts';
import { clientVerifier } from '../session/source-verifier.ts';
import type { BuildTraces } from '../trace/build-traces.ts';
import { askedCaches, CACHE_MOUNTS } from './cache-mounts.ts';
import { type ClientCaches, readCacheOptions } from './cache-options.ts';
import type { CallersCaches } from './callers-caches.ts';
import { DirectoryCaches } from './client-caches.ts';
import { refuseUngranted } from './entitlements.ts';
import { graphDriver } from './graph-driver.ts';
import type { OpenBuild } from './open-builds.ts';
import { exporterResponse, type Outputs, readOutputs } from './outputs.ts';
import { ContentsTold, READ_CONTENTS } from './read-contents.ts';
import { RunningRecord } from './record.ts';
import { SessionExporters } from './session-exporters.ts';
import { ToldAnswer, toldOf } from './told-answer.ts';

/** What builds of clients run on. */
export interface SolveHost {
  readonly engine: Engine;
  readonly sessions: Sessions;
  readonly history: BuildHistory;
  readonly traces: BuildTraces;
  /** The entitlements that builds may have when their clients ask for them. */
  readonly granted: readonly string[];
}

/**
 * Builds what a client asks for, in one of three ways: it names a frontend, it sends a graph, or it
 * drives the build itself. Answers what the exporters tell. The build ends when `signal` aborts.
 * `traceparent` is the header with which the client tells its trace.
 */
export async function solve(
  request: SolveRequest,
  open: OpenBuild,
  host: SolveHost,
  signal: AbortSignal,
  traceparent?: string,
): Promise<Record<string, string>> {
  if (request.proxyNetwork)
    throw new KilnError('KILN_REQUEST_UNSUPPORTED', 'a network through a proxy is not served');
  refuseUngranted(request.entitlements, host.granted);
  open.hasOutputs = request.exporters.length > 0 || request.exporterDeprecated !== '';
  const isDriven = request.frontend === '' && request.definition === undefined;
  if (isDriven && (await open.driver.first()) === 'nothing') return toldOf(open.driver.said);
  const { engine, sessions } = host;
  const client = request.session === '' ? undefined : await sessions.find(request.session, signal);
  // A client that goes away needs no result any more.
  const ended = client ? AbortSignal.any([signal, client.client.closed]) : signal;
  const session = () => required(client);
  for (const [name, id] of lendersOf(request.frontendAttrs)) open.lenders.set(name, id);
  using scratch = new DisposableStack();
  const warn = (short: string) => open.status.event({ kind: 'warning', short, detail: [] });
  const place = () => scratch.use(engine.store.scratch('output')).path;
  const outputs = readOutputs(request, { session, scratch: place, warn, signal: ended });
  const caches = scratch.use(new DirectoryCaches(session, engine.store, ended, warn));
  open.caches = caches;
  const base = await baseRequest(request, outputs, caches, warn);
  using lent = client
    ? remoteSession(client, sessions, open.lenders, engine.store, ended)
    : memorySession({});
  const exporters = request.enableSessionExporter
    ? new SessionExporters(session(), open, outputs, ended)
    : undefined;
  const given = isDriven ? open.driver.drive : graphDriver(request, base);
  const answer = new ToldAnswer(given, outputs, request);
  const { sourcePolicySession: id } = request;
  const verifySource = id === '' ? undefined : clientVerifier(await sessions.find(id, ended));
  const keepFailed = isDriven ? { keepFailed: open.failed.keep } : {};
  const contents = request.frontendAttrs[READ_CONTENTS] === 'true' ? new ContentsTold() : undefined;
  const mounts = await callersCaches(request, session, engine.store, place, warn);
  await mounts?.bring(ended);
  using record = new RunningRecord(request, host, traceparent);
  const { response } = await build(
    engine,
    request.frontend === '' ? base : readFrontendOptions(askedOf(request), base),
    { ...lent, output: outputs.write, layout: outputs.layout, verifySource, ...keepFailed },
    record.watching(open.status.event),
    ended,
    {
      door: 'buildkit',
      driver: exporters ? exporters.asked(answer.drive) : answer.driver,
      logged: loggedOf(request, traceparent),
      onKeyed: contents?.onKeyed,
    },
  );
  await outputs.finish();
  await caches.send();
  const told = {
    ...answer.told,
    ...exporterResponse(response),
    ...contents?.answer,
    ...(await mounts?.send(ended)),
  };
  await exporters?.finalize(told);
  return told;
}

/** The cache mounts that a client lends and takes, when it says so. */
async function callersCaches(
  { frontendAttrs }: SolveRequest,
  session: () => ClientSession,
  store: Engine['store'],
  place: () => string,
  warn: (short: string) => void,
): Promise<CallersCaches | undefined> {
  const asked = askedCaches(frontendAttrs[CACHE_MOUNTS]);
  if (!asked) return undefined;
  const { CallersCaches } = await import('./callers-caches.ts');
  return new CallersCaches(asked, session(), store, place(), warn);
}

/** What the request says beside the options of its frontend. */
async function baseRequest(
  request: SolveRequest,
  outputs: Outputs,
  caches: ClientCaches,
  warn: (short: string) => void,
): Promise<BuildRequest> {
  const plain = buildRequest({
    outputs: outputs.specs,
    allow: [...request.entitlements],
    sourcePolicies: readPolicies([request.sourcePolicy]),
    ...(await readCacheOptions(request.cache, caches, warn)),
  });
  return { ...plain, ...resultOptions(request.frontendAttrs, plain) };
}

function askedOf({ frontend, frontendAttrs, frontendInputs }: SolveRequest): AskedFrontend {
  return { frontend, options: frontendAttrs, inputs: frontendInputs };
}

function required(client: ClientSession | undefined): ClientSession {
  if (client) return client;
  throw new ConnectError('an output to the client needs a session', Code.InvalidArgument);
}
