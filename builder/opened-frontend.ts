import { join } from 'node:path';
import type { Digest } from '../base/digest.ts';
import type { ProgressSink } from '../base/progress.ts';
import { Findings } from '../frontend/convert/checks.ts';
import { convertDockerfile } from '../frontend/convert/convert.ts';
import { unusedBuildArgs, unusedContexts, unusedFilters } from '../frontend/convert/unused.ts';
import type { TargetResult } from '../frontend/frontend.ts';
import { parseDockerfile } from '../frontend/parse.ts';
import { hostPlatform } from '../registry/platforms.ts';
import { imageSources } from '../registry/pull.ts';
import { openTagMemory } from '../registry/tags.ts';
import { type DraftEdge, seal } from '../solver/llb/draft.ts';
import { imageResolver } from '../solver/ops/source-image.ts';
import { type BuildContext, registryOf } from './build-context.ts';
import type { BulkWatch } from './context/bulk-watch.ts';
import { type FetchingHost, type LoadedContext, loadContext } from './context/context.ts';
import { contextHost } from './context/context-host.ts';
import { announcedResolver, layoutsOf, type PreparedRequest, prepareRequest } from './frontend-request.ts';
import { internalStep } from './internal-step.ts';
import { fetchTree, openSolving, type Solving } from './solving.ts';

/** What the frontend is asked, with what the graph that it answers will need. */
export interface OpenedFrontend extends PreparedRequest {
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
  const fetch = (tree: DraftEdge) => fetchTree(tree, solving(), context);
  const { loaded, vertex } = await loadAnnounced(context, fetch);
  if (loaded.from.kind === 'local') bulk.context = { directory: loaded.from.directory, ignore: loaded.ignore };
  const resolve = announcedResolver(imageResolver(sources, signal, layouts), progress);
  return { ...prepareRequest(request, session, loaded, resolve, signal, progress), vertex, solving };
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
    if (loaded.from.kind === 'remote') return { loaded, vertex: seal(loaded.from.tree, hostPlatform()).vertex.digest };
  }
  const { dockerfile } = request;
  const name = dockerfile.kind === 'file' ? dockerfile.name : dockerfile.kind === 'remote' ? dockerfile.url : 'Dockerfile';
  return await internalStep(progress, `[internal] load build definition from ${name}`, async (step) => {
    const loaded = await loadContext(request, host);
    step.done(`transferring dockerfile: ${Buffer.byteLength(loaded.dockerfile.text)}B`);
    return { loaded, vertex: step.vertex };
  });
}

/** Parses and lowers the Dockerfile; what its checks find is told at once, and also when the lowering fails. */
export async function lowered({ request, vertex }: OpenedFrontend, progress: ProgressSink): Promise<readonly TargetResult[]> {
  const dockerfile = parseDockerfile(request.dockerfile);
  const findings = new Findings(request, dockerfile);
  try {
    const { targets } = await convertDockerfile(request, dockerfile, findings);
    const triggers = targets.flatMap(({ base }) => base?.config?.OnBuild ?? []);
    for (const unused of [
      unusedBuildArgs(dockerfile, request.buildArgs, triggers),
      unusedFilters(dockerfile, request.noCache),
      unusedContexts(request, triggers),
    ])
      if (unused) progress(unused);
    return targets;
  } finally {
    for (const event of findings.events()) progress({ ...event, vertex });
  }
}
