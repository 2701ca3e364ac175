import { Code, ConnectError } from '@connectrpc/connect';
import { KilnError } from '../../base/errors.ts';
import type { ImageConfig } from '../../base/oci.ts';
import type { ProgressSink } from '../../base/progress.ts';
import type { BuildAnswer, BuildDriver } from '../../builder/bridge.ts';
import { build } from '../../builder/build.ts';
import type { Engine } from '../../builder/engine.ts';
import { askFrontend } from '../../builder/opened-frontend.ts';
import { type BuildRequest, buildRequest } from '../../builder/request.ts';
import { memorySession } from '../../builder/session/memory-session.ts';
import { parseConfig } from '../../registry/parse-document.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { parseDefinition } from '../../solver/llb/parse.ts';
import { lendersOf } from '../gateway/context-options.ts';
import { readFrontendOptions, resultOptions } from '../gateway/frontend-options.ts';
import type { AskedFrontend } from '../gateway/option-maps.ts';
import { plainConfig } from '../gateway/plain-config.ts';
import { readPolicies } from '../gateway/source-policies.ts';
import type { BuildHistory } from '../history/build-history.ts';
import { loggedOf } from '../history/history-messages.ts';
import type { SolveRequest } from '../proto/control.gen.ts';
import type { ClientSession } from '../session/client-session.ts';
import { bringLayout } from '../session/content/bring-layout.ts';
import { sendLayout } from '../session/content/send-layout.ts';
import { remoteSession } from '../session/remote-session.ts';
import type { Sessions } from '../session/sessions.ts';
import { clientVerifier } from '../session/source-verifier.ts';
import type { BuildTraces } from '../trace/build-traces.ts';
import { type ClientCaches, readCacheOptions } from './cache-options.ts';
import { refuseUngranted } from './entitlements.ts';
import type { OpenBuild } from './open-builds.ts';
import { exporterResponse, IMAGE_CONFIG, readOutputs } from './outputs.ts';
import { SessionExporters } from './session-exporters.ts';
import { verifyPlatforms } from './verify-platforms.ts';

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
  { engine, sessions, history, traces, granted }: SolveHost,
  signal: AbortSignal,
  traceparent?: string,
): Promise<Record<string, string>> {
  if (request.proxyNetwork)
    throw new KilnError('KILN_REQUEST_UNSUPPORTED', 'a network through a proxy is not served');
  refuseUngranted(request.entitlements, granted);
  open.hasOutputs = request.exporters.length > 0 || request.exporterDeprecated !== '';
  const isDriven = request.frontend === '' && request.definition === undefined;
  if (isDriven && (await open.driver.first()) === 'nothing') return saidToClient(open.driver.said);
  const client = request.session === '' ? undefined : await sessions.find(request.session, signal);
  // A client that goes away needs no result any more.
  const ended = client ? AbortSignal.any([signal, client.client.closed]) : signal;
  using scratch = new DisposableStack();
  const warn = (short: string) => open.status.event({ kind: 'warning', short, detail: [] });
  const outputs = readOutputs(request, {
    session: () => required(client),
    scratch: () => scratch.use(engine.store.scratch('output')).path,
    warn,
    signal: ended,
  });
  for (const [name, id] of lendersOf(request.frontendAttrs)) open.lenders.set(name, id);
  const written: { readonly store: string; readonly root: string }[] = [];
  const caches: ClientCaches = {
    async bring(directory, digest) {
      const from = required(client);
      const store = `local:${directory}`;
      return scratch.use(await bringLayout(from, store, digest, engine.store, ended)).path;
    },
    take(directory) {
      const root = scratch.use(engine.store.scratch('cache')).path;
      written.push({ store: `local:${directory}`, root });
      return root;
    },
  };
  open.caches = caches;
  const plain = buildRequest({
    outputs: outputs.specs,
    allow: [...request.entitlements],
    sourcePolicies: readPolicies([request.sourcePolicy]),
    ...(await readCacheOptions(request.cache, caches, warn)),
  });
  const base = { ...plain, ...resultOptions(request.frontendAttrs, plain) };
  using lent = client
    ? remoteSession(client, sessions, open.lenders, engine.store, ended)
    : memorySession({});
  const exporters = request.enableSessionExporter
    ? new SessionExporters(required(client), open, outputs, ended)
    : undefined;
  const given = isDriven ? open.driver.drive : driverOf(request, base);
  let said: BuildAnswer['metadata'];
  const told: BuildDriver = async (bridge) => {
    const answer = await (given ?? askFrontend)(bridge);
    said = answer.metadata;
    if (given)
      for (const short of verifyPlatforms(answer, request.frontendAttrs['platform'])) {
        bridge.context.progress({ kind: 'warning', short, detail: [] });
      }
    const name = said?.['image.name'] && Buffer.from(said['image.name']).toString();
    return { ...answer, outputs: [...(answer.outputs ?? []), ...outputs.named(name)] };
  };
  const { sourcePolicySession: verifier } = request;
  const verifySource =
    verifier === '' ? undefined : clientVerifier(await sessions.find(verifier, ended));
  let isTold = false;
  const progress: ProgressSink = (event) => {
    if (!isTold && !request.internal) history.changed(request.ref, 'started');
    isTold = true;
    open.status.event(event);
  };
  if (!request.internal) traces.begin(request.ref, traceparent);
  try {
    const { response } = await build(
      engine,
      request.frontend === '' ? base : readFrontendOptions(askedOf(request), base),
      {
        ...lent,
        output: outputs.write,
        verifySource,
        ...(isDriven && { keepFailed: open.failed.keep }),
      },
      progress,
      ended,
      {
        driver: exporters ? exporters.asked(told) : given || outputs.hasNamed ? told : undefined,
        logged: loggedOf(request, traceparent),
      },
    );
    await outputs.finish();
    for (const { store, root } of written) await sendLayout(required(client), store, root, ended);
    const answer = { ...saidToClient(said), ...exporterResponse(response) };
    await exporters?.finalize(answer);
    return answer;
  } finally {
    if (request.internal) history.forget(request.ref);
    else {
      history.changed(request.ref, 'complete');
      traces.end(request.ref);
    }
  }
}

/** What of the metadata of a result the caller of the build is told. */
function saidToClient(metadata: BuildAnswer['metadata'] = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata).flatMap(([name, value]): [string, string][] =>
      name.startsWith('frontend.') ? [[name, Buffer.from(value).toString()]] : [],
    ),
  );
}

function askedOf({ frontend, frontendAttrs, frontendInputs }: SolveRequest): AskedFrontend {
  return { frontend, options: frontendAttrs, inputs: frontendInputs };
}

/** Answers the graph that the request brings; undefined when a frontend is to be asked. */
function driverOf(request: SolveRequest, asked: BuildRequest): BuildDriver | undefined {
  if (request.frontend !== '') return undefined;
  const edge = parseDefinition(request.definition ?? new Uint8Array());
  const platform = hostPlatform();
  const config = configOf(request) ?? plainConfig(platform);
  return async () => ({
    request: asked,
    targets: [{ platform, edge, config }],
    dockerfile: undefined,
  });
}

function required(client: ClientSession | undefined): ClientSession {
  if (client) return client;
  throw new ConnectError('an output to the client needs a session', Code.InvalidArgument);
}

/** The config that an output brings for the graph. */
function configOf({ exporters, exporterAttrsDeprecated }: SolveRequest): ImageConfig | undefined {
  const attrs = [...exporters.map((exporter) => exporter.attrs), exporterAttrsDeprecated];
  const text = attrs.map((each) => each[IMAGE_CONFIG]).find((found) => found !== undefined);
  if (text === undefined) return undefined;
  const { rootfs: _, ...config } = parseConfig(Buffer.from(text), `${IMAGE_CONFIG} of an output`);
  return config;
}
