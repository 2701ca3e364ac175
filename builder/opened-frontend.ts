import { join } from 'node:path';
import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { TreeFilter } from '../cache/contenthash.ts';
import { dockerfileFrontend } from '../frontend/dockerfile-frontend.ts';
import type { TargetResult } from '../frontend/frontend.ts';
import type { Gateway } from '../frontend/gateway.ts';
import { hostPlatform } from '../registry/platforms.ts';
import { imageSources } from '../registry/pull.ts';
import { openTagMemory } from '../registry/tags.ts';
import { type DraftEdge, seal } from '../solver/llb/draft.ts';
import { imageResolver } from '../solver/ops/source-image.ts';
import type { DirectoryResult } from '../solver/result.ts';
import { type BuildContext, registryOf } from './build-context.ts';
import type { BulkWatch } from './context/bulk-watch.ts';
import { loadContext } from './context/context.ts';
import { contextHost } from './context/context-host.ts';
import type { FetchingHost, LoadedContext } from './context/loaded-context.ts';
import {
  announcedResolver,
  type LocalSource,
  layoutsOf,
  type PreparedRequest,
  prepareRequest,
} from './frontend-request.ts';
import { openGateway, solveTree } from './gateway.ts';
import { internalStep } from './internal-step.ts';
import { DOCKERFILE_FRONTEND } from './request.ts';
import { openSolving, type Solving } from './solving.ts';

/** What the frontend is asked, with what the graph that it answers will need. */
export interface OpenedFrontend extends PreparedRequest {
  readonly gateway: Gateway;
  /** The step that read the Dockerfile: warnings about its text are shown there. */
  readonly vertex: Digest;
  /** What solves graphs, made when there is one: asked again it is the same. */
  readonly solving: () => Solving;
}

/** Finds the context, the Dockerfile and where images come from. */
export async function openFrontend(context: BuildContext): Promise<OpenedFrontend> {
  const { request, engine, session, progress, signal, scope } = context;
  const sources = scope.use(
    imageSources({
      content: engine.content,
      images: engine.images,
      registry: await registryOf(context),
      tags: openTagMemory(join(engine.store.root, 'tags')),
      warn: (short) => progress({ kind: 'warning', short, detail: [] }),
    }),
  );
  const layouts = layoutsOf(request, session);
  const caches = await openCaches(context, sources);
  let opened: Solving | undefined;
  const bulk: BulkWatch = { context: undefined };
  const solving = () => (opened ??= openSolving(context, { sources, layouts, bulk, caches }));
  const fetch = (tree: DraftEdge) => solveTree(tree, solving(), context);
  const { loaded, vertex } = await loadAnnounced(context, fetch);
  if (loaded.from.kind === 'local')
    bulk.context = { directory: loaded.from.directory, ignore: loaded.ignore };
  const resolve = announcedResolver(imageResolver(sources, signal, layouts), progress);
  const prepared = prepareRequest(request, session, loaded, progress);
  const withLocals = () => {
    const { locals } = solving();
    for (const [name, source] of prepared.locals) locals.set(name, directoryOf(source));
    return solving();
  };
  return {
    ...prepared,
    gateway: openGateway(context, resolve, withLocals, vertex),
    vertex,
    solving: withLocals,
  };
}

/** Loaded only when a cache is to be read or written. Reading begins at once. */
async function openCaches(context: BuildContext, sources: ReturnType<typeof imageSources>) {
  const { request, scope } = context;
  if (request.cacheFrom.length + request.cacheTo.length === 0) return undefined;
  const { BuildCaches } = await import('./caches/caches.ts');
  return scope.use(new BuildCaches(context, sources));
}

async function loadAnnounced(
  context: BuildContext,
  fetch: FetchingHost['fetch'],
): Promise<{ readonly loaded: LoadedContext; readonly vertex: Digest }> {
  const { request, progress } = context;
  const host = { ...contextHost(context), fetch };
  if (request.context.kind === 'remote') {
    // What is fetched shows as the step that fetches it.
    const loaded = await loadContext(request, host);
    if (loaded.from.kind === 'remote')
      return { loaded, vertex: seal(loaded.from.tree, hostPlatform()).vertex.digest };
  }
  const { dockerfile } = request;
  const name =
    dockerfile.kind === 'file'
      ? dockerfile.name
      : dockerfile.kind === 'remote'
        ? dockerfile.url
        : 'Dockerfile';
  return await internalStep(
    progress,
    `[internal] load build definition from ${name}`,
    async (step) => {
      const loaded = await loadContext(request, host);
      step.done(`transferring dockerfile: ${Buffer.byteLength(loaded.dockerfile.text)}B`);
      return { loaded, vertex: step.vertex };
    },
  );
}

/**
 * Asks the frontend of the request for the graph. Throws KILN_REQUEST_INVALID when the engine has
 * no such frontend.
 */
export async function askFrontend(
  { engine, request }: BuildContext,
  opened: OpenedFrontend,
): Promise<readonly TargetResult[]> {
  const { frontends = {} } = engine.settings;
  const name = request.frontend;
  const frontend =
    name === DOCKERFILE_FRONTEND
      ? dockerfileFrontend
      : Object.hasOwn(frontends, name)
        ? frontends[name]
        : undefined;
  if (!frontend)
    throw new KilnError('KILN_REQUEST_INVALID', `there is no frontend ${JSON.stringify(name)}`, {
      hint: `the frontends are: ${[DOCKERFILE_FRONTEND, ...Object.keys(frontends)].join(', ')}`,
    });
  return (await frontend.solve(opened.gateway, opened.inputs)).targets;
}

function directoryOf({ directory, filter, memory }: LocalSource): DirectoryResult {
  return {
    kind: 'directory',
    root: directory,
    ...(filter && { filter: withReasons(filter) }),
    ...(memory !== undefined && { memory }),
  };
}

/** The walker's filter, with reasons in the user's words. */
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
