import { join } from 'node:path';
import type { SourceText } from '../base/errors.ts';
import type { ImageResolver, TargetResult } from '../frontend/frontend.ts';
import { imageSources } from '../registry/pull.ts';
import { openTagMemory } from '../registry/tags.ts';
import { imageResolver } from '../solver/ops/source-image.ts';
import { type BuildContext, registryOf } from './build-context.ts';
import type { BulkWatch } from './context/bulk-watch.ts';
import { announcedResolver } from './frontend-request.ts';
import type { BuildRequest } from './request.ts';
import { openSolving, type Solving } from './solving.ts';

/**
 * # What the frontends of one build share
 *
 * As a rule a build asks one frontend, that of its request. A client that drives a build asks any
 * number of them and solves graphs of its own meanwhile (BuildKit's LLBBridge). All of them share
 * one solver, so a step that two of them need runs once, and one look-up of each image.
 */
export interface Bridge {
  readonly context: BuildContext;
  readonly resolveImage: ImageResolver;
  /** What solves graphs. It is made when it is first asked for. */
  readonly solving: () => Solving;
  /** Paths of OCI layouts by the name of their context. Frontends add theirs. */
  readonly layouts: Map<string, string>;
  readonly bulk: BulkWatch;
}

/** What is to be exported, as a frontend or a client answers it. */
export interface BuildAnswer {
  /**
   * What the graph was made of: the request of the build, or what a client asked instead. Where
   * results and caches go is in the request of the build alone.
   */
  readonly request: BuildRequest;
  readonly targets: readonly TargetResult[];
  /** The build file; undefined when the graph came without one. */
  readonly dockerfile: SourceText | undefined;
}

/** Answers a build in the place of the frontend that its request names. */
export type BuildDriver = (bridge: Bridge) => Promise<BuildAnswer>;

export async function openBridge(context: BuildContext): Promise<Bridge> {
  const { engine, progress, signal, scope } = context;
  const sources = scope.use(
    imageSources({
      content: engine.content,
      images: engine.images,
      registry: await registryOf(context),
      tags: openTagMemory(join(engine.store.root, 'tags')),
      warn: (short) => progress({ kind: 'warning', short, detail: [] }),
    }),
  );
  const layouts = new Map<string, string>();
  const bulk: BulkWatch = { context: undefined };
  const caches = await openCaches(context, sources);
  let opened: Solving | undefined;
  return {
    context,
    resolveImage: announcedResolver(imageResolver(sources, signal, layouts), progress),
    solving: () => (opened ??= openSolving(context, { sources, layouts, bulk, caches })),
    layouts,
    bulk,
  };
}

/** Loaded only when a cache is to be read or written. Reading begins at once. */
async function openCaches(context: BuildContext, sources: ReturnType<typeof imageSources>) {
  const { request, scope } = context;
  if (request.cacheFrom.length + request.cacheTo.length === 0) return undefined;
  const { BuildCaches } = await import('./caches/caches.ts');
  return scope.use(new BuildCaches(context, sources));
}
