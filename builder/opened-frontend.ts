import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { ProgressSink } from '../base/progress.ts';
import type { TreeFilter } from '../cache/contenthash.ts';
import { dockerfileFrontend } from '../frontend/dockerfile-frontend.ts';
import type { Frontend, Gateway } from '../frontend/gateway.ts';
import { hostPlatform } from '../registry/platforms.ts';
import { type DraftEdge, seal } from '../solver/llb/draft.ts';
import type { AnsweredTarget } from './answered-target.ts';
import type { Bridge, BuildAnswer } from './bridge.ts';
import type { BuildContext } from './build-context.ts';
import { loadContext } from './context/context.ts';
import { contextHost } from './context/context-host.ts';
import type { FetchingHost, LoadedContext } from './context/loaded-context.ts';
import {
  type LocalSource,
  layoutsOf,
  type PreparedRequest,
  prepareRequest,
  syntaxImageOf,
} from './frontend-request.ts';
import { openGateway, solveTree } from './gateway.ts';
import type { ImageFrontend } from './image-frontend.ts';
import { finishedStep, internalStep } from './internal-step.ts';
import {
  type BuildRequest,
  DOCKERFILE_FRONTEND,
  dockerfileName,
  IMAGE_FRONTEND,
} from './request.ts';
import { type LocalDirectory, localKey } from './session/lend.ts';
import type { Solving } from './solving.ts';

/** The inputs and the gateway of a frontend, and the solver for its graph. */
export interface OpenedFrontend extends PreparedRequest {
  readonly kind: 'here';
  /** Shows as a step of its own how the ignore file was asked for, if it was. */
  readonly showIgnore: () => void;
  readonly gateway: Gateway;
  /** The step that loaded the Dockerfile. Warnings about its text are shown there. */
  readonly vertex: Digest;
  /** Returns the solver of the build, and gives it the directories of this frontend. */
  readonly solving: () => Solving;
}

/**
 * Loads what `request` names: the context, the Dockerfile and named contexts. Returns a frontend
 * in an image when the request or the Dockerfile names one. One bridge can open several frontends.
 */
export async function openFrontend(
  bridge: Bridge,
  request: BuildRequest = bridge.context.request,
): Promise<OpenedFrontend | ImageFrontend> {
  const { context, resolveImage, solving, layouts, locals } = bridge;
  if (request.frontend === IMAGE_FRONTEND)
    return (await import('./image-frontend.ts')).gatewayFrontend(bridge, request);
  const { session, progress } = context;
  const asked: BuildContext = { ...context, request };
  for (const [name, path] of await layoutsOf(request, session)) layouts.set(name, path);
  const fetch = (tree: DraftEdge) => solveTree(tree, solving());
  // The graph has the context, but not the directory that only the Dockerfile is read from.
  if (request.context.kind !== 'remote' || request.dockerfile.kind === 'lent')
    await bridge.gate?.source({ identifier: 'local://dockerfile', attrs: {} }, undefined);
  const { loaded, vertex } = await loadWithProgress(asked, fetch);
  const image = context.engine.settings.imageFrontends && syntaxImageOf(request, loaded);
  if (image)
    return (await import('./image-frontend.ts')).syntaxFrontend(bridge, request, image, loaded);
  const prepared = await prepareRequest(request, session, loaded, progress);
  const withLocals = () => {
    for (const [name, source] of prepared.locals) {
      const directory = directoryOf(source);
      locals.set(name, directory);
      locals.set(localKey(name, source.hint, source.exclude), directory);
    }
    return solving();
  };
  return {
    kind: 'here',
    showIgnore: () => showIgnore(loaded, progress),
    ...prepared,
    gateway: openGateway(resolveImage, withLocals, vertex, context),
    vertex,
    solving: withLocals,
  };
}

/** As BuildKit, it is shown after the look-ups of base images, though it was loaded before. */
function showIgnore({ ignoreAsked }: LoadedContext, progress: ProgressSink): void {
  if (ignoreAsked === undefined) return;
  const transferred = { what: 'transferring context:', bytes: ignoreAsked };
  finishedStep(progress, '[internal] load .dockerignore', transferred);
}

/** Loads the context and the Dockerfile, and shows that as a step in the progress. */
async function loadWithProgress(
  context: BuildContext,
  fetch: FetchingHost['fetch'],
): Promise<{ readonly loaded: LoadedContext; readonly vertex: Digest }> {
  const { request, progress } = context;
  const host = { ...contextHost(context), fetch };
  if (request.context.kind === 'remote' || request.context.kind === 'graph') {
    // A fetched context is shown as the step that fetches it.
    const loaded = await loadContext(request, host);
    if (loaded.from.kind === 'remote')
      return { loaded, vertex: seal(loaded.from.tree, hostPlatform()).vertex.digest };
  }
  const name = dockerfileName(request.dockerfile) ?? 'Dockerfile';
  return await internalStep(
    progress,
    `[internal] load build definition from ${name}`,
    async (step) => {
      const loaded = await loadContext(request, host);
      step.transferred('transferring dockerfile:', Buffer.byteLength(loaded.dockerfile.text));
      return { loaded, vertex: step.vertex };
    },
  );
}

/**
 * Asks the frontend of `request` for the graphs of its targets. Throws KILN_REQUEST_INVALID when
 * the engine has no such frontend, and the errors of the frontend.
 */
export async function askFrontend(
  bridge: Bridge,
  request: BuildRequest = bridge.context.request,
): Promise<BuildAnswer> {
  const frontend = frontendFor(request, bridge);
  const opened = await openFrontend(bridge, request);
  if (opened.kind === 'image') {
    const { image, ...answer } = await opened.ask();
    const asked = image && { image, options: opened.named };
    return { request, dockerfile: opened.dockerfile, frontend: asked, ...answer };
  }
  const { gateway, inputs, solving, showIgnore } = opened;
  const { targets: made, epoch } = await frontend.solve(gateway, inputs);
  showIgnore();
  // The graph may name directories of this frontend. This call gives them to the solver.
  solving();
  const targets = await scannedTargets(made, request, bridge);
  return { request: { ...request, epoch }, targets, dockerfile: inputs.dockerfile };
}

/** Adds the SBOMs of the scanner that the request names, if it names one. */
export async function scannedTargets(
  targets: readonly AnsweredTarget[],
  request: BuildRequest,
  { resolveImage }: Pick<Bridge, 'resolveImage'>,
): Promise<readonly AnsweredTarget[]> {
  if (!request.attest.scanner) return targets;
  const { withScans } = await import('./sbom-scan.ts');
  return await withScans(targets, request, resolveImage);
}

/** The frontend that has the name in the request. One in an image is opened instead of it. */
function frontendFor(
  { frontend: name }: BuildRequest,
  { context: { engine } }: Pick<Bridge, 'context'>,
): Frontend {
  const { frontends = {} } = engine.settings;
  if (name === DOCKERFILE_FRONTEND || name === IMAGE_FRONTEND) return dockerfileFrontend;
  const frontend = Object.hasOwn(frontends, name) ? frontends[name] : undefined;
  if (frontend) return frontend;
  const names = Object.keys(frontends);
  throw new KilnError('KILN_REQUEST_INVALID', `there is no frontend ${JSON.stringify(name)}`, {
    hint: `use one of: ${[DOCKERFILE_FRONTEND, IMAGE_FRONTEND, ...names].join(', ')}`,
  });
}

function directoryOf({ find, filter, onRead }: LocalSource): LocalDirectory {
  return async (wanted) => {
    const { path, remembered, version, received, looks, onLook } = await find(wanted);
    return {
      kind: 'directory',
      root: path,
      ...(filter && { filter: withReasons(filter) }),
      ...(remembered && { memory: path, version, ...(looks && { looks }) }),
      received,
      ...(onRead && { onRead }),
      ...(onLook && { onLook }),
    };
  };
}

/** Makes the filter explain why a path is ignored by naming the line of the ignore file. */
function withReasons(filter: NonNullable<LocalSource['filter']>): TreeFilter {
  return {
    ...filter,
    explain(path) {
      const reason = filter.explain(path);
      if (reason?.place?.kind !== 'source') return reason?.pattern;
      return `line ${reason.place.start.line} of ${reason.place.source.name}: ${reason.pattern}`;
    },
  };
}
