import { rm } from 'node:fs/promises';
import { ConnectError } from '@connectrpc/connect';
import { refuseUngranted } from '../../api/control/entitlements.ts';
import { readFrontendOptions } from '../../api/gateway/frontend-options.ts';
import type { ClientSession } from '../../api/session/client-session.ts';
import { remoteSession } from '../../api/session/remote-session.ts';
import { KilnError } from '../../base/errors.ts';
import { familiarName } from '../../base/reference.ts';
import { build } from '../../builder/build.ts';
import { type BuildRequest, buildRequest } from '../../builder/request.ts';
import type { Session } from '../../builder/session.ts';
import { type OutputSpec, parseOutput } from '../../exporter/output-spec.ts';
import { configHeader } from '../client/auth-headers.ts';
import type { DockerHost } from '../docker-host.ts';
import { empty, type JsonStream, streaming } from '../http/answers.ts';
import { type DockerRequest, type Handler, isSet } from '../http/docker-request.ts';
import { askedEntitlements, CLIENT_SESSION, frontendOptions, parsed } from './build-options.ts';
import {
  type BuildProgress,
  quietProgress,
  textProgress,
  traceProgress,
} from './build-progress.ts';
import { lentDirectory } from './lent-directories.ts';
import { unpackContext } from './tar-context.ts';

/** The builds that run, by the IDs that their clients gave them. */
export type RunningBuilds = Map<string, AbortController>;

/**
 * `POST /build`: the context is the archive in the request, a URL, or directories of a session. The
 * language is all of the Dockerfile's, whatever `version` says; that decides how progress is told.
 */
export function buildImage(host: DockerHost, running: RunningBuilds): Handler {
  return async (request, response) => {
    const { query } = request;
    const entitlements = askedEntitlements(query);
    refuseUngranted(entitlements, host.control.granted);
    const plain = buildRequest({ outputs: outputsOf(query), allow: [...entitlements] });
    const options = { frontend: 'dockerfile.v0', options: frontendOptions(query), inputs: {} };
    const asked: BuildRequest = {
      ...readFrontendOptions(options, plain),
      squash: isSet(query, 'squash'),
    };
    const id = query.get('buildid') ?? '';
    const cancelled = new AbortController();
    if (id !== '') running.set(id, cancelled);
    const signal = AbortSignal.any([request.signal, cancelled.signal]);
    try {
      await streaming(response, async (stream) => {
        await using lent = await lend(host, request, signal);
        const progress = progressOf(query, stream);
        try {
          await run(host, asked, lent.session, progress, signal);
        } finally {
          progress.flush?.();
        }
      });
    } finally {
      if (id !== '' && running.get(id) === cancelled) running.delete(id);
    }
  };
}

/** `POST /build/cancel?id=…` */
export function cancelBuild(running: RunningBuilds): Handler {
  return async ({ query }, response) => {
    running.get(query.get('id') ?? '')?.abort();
    empty(response);
  };
}

async function run(
  host: DockerHost,
  request: BuildRequest,
  session: Session,
  progress: BuildProgress,
  signal: AbortSignal,
): Promise<void> {
  const { engine, events } = host;
  const { response } = await build(engine, request, session, progress.event, signal, {
    door: 'docker',
  });
  const id = response['containerimage.digest'];
  const names = request.outputs.flatMap((output) =>
    output.type === 'image' ? output.image.names.map((name) => familiarName(name)) : [],
  );
  if (typeof id !== 'string') return;
  progress.done(id, names);
  events.add({ action: 'build', id, name: names[0] ?? id });
}

/**
 * What the request lends to the build: its archive, its logins, and what the session of its client
 * has. Disposing it removes what was unpacked.
 */
async function lend(
  { engine, control }: DockerHost,
  { query, headers, body }: DockerRequest,
  signal: AbortSignal,
): Promise<AsyncDisposable & { readonly session: Session }> {
  await using scope = new AsyncDisposableStack();
  const id = query.get('session') ?? '';
  const client = id === '' ? undefined : await sessionOf(control.sessions, id, signal);
  const lent =
    client && scope.use(remoteSession(client, control.sessions, new Map(), engine.store, signal));
  const remote = query.get('remote') ?? '';
  const disposing = (session: Session) => {
    const held = scope.move();
    return { session, [Symbol.asyncDispose]: () => held.disposeAsync() };
  };
  if (lent && remote === CLIENT_SESSION) return disposing(lent);
  const path = engine.store.scratchPath('docker-context');
  scope.defer(() => rm(path, { recursive: true, force: true, maxRetries: 5 }));
  if (remote === '') await unpackContext(body, path, signal);
  const names = remote === '' ? ['context', 'dockerfile'] : [];
  const credentials = configHeader(headers['x-registry-config']);
  return disposing(lentDirectory(path, names, credentials, lent));
}

function progressOf(query: URLSearchParams, stream: JsonStream): BuildProgress {
  if (query.get('version') === '2') return traceProgress(stream);
  return isSet(query, 'q') ? quietProgress(stream) : textProgress(stream);
}

/**
 * The image under the names `t`, unless `outputs` says something else. Throws
 * KILN_REQUEST_INVALID.
 */
function outputsOf(query: URLSearchParams): readonly OutputSpec[] {
  const tags = query.getAll('t').filter((name) => name !== '');
  const image = parseOutput(new Map([['type', 'image']]), tags);
  const asked = parsed(query, 'outputs') ?? [];
  if (!Array.isArray(asked) || asked.length === 0) return [image];
  return asked.flatMap((output: unknown) => {
    const { Type } = (output ?? {}) as Record<string, unknown>;
    if (Type === 'moby' || Type === 'image' || Type === 'docker') return [image];
    if (Type === 'cacheonly') return [];
    throw new KilnError(
      'KILN_REQUEST_UNSUPPORTED',
      `the output ${JSON.stringify(Type)} needs a client that receives it`,
      { hint: 'build with docker buildx build --output', exitCode: 2 },
    );
  });
}

/** The session of a client that has opened it by `POST /session`. Throws KILN_CLIENT_FAILED. */
async function sessionOf(
  sessions: DockerHost['control']['sessions'],
  id: string,
  signal: AbortSignal,
): Promise<ClientSession> {
  try {
    return await sessions.find(id, signal);
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    throw new KilnError('KILN_CLIENT_FAILED', error.rawMessage, {
      hint: 'open the session before the build',
      exitCode: 2,
    });
  }
}
