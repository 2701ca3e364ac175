import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { READ_CONTENTS } from '../../api/control/read-contents.ts';
import { type Digest, digestOfParts } from '../../base/digest.ts';
import type { Platform } from '../../base/platform.ts';
import type { ProgressEvent, ProgressSink } from '../../base/progress.ts';
import type { BuildWithWorkers } from '../../builder/other-workers.ts';
import type { OpenServer } from '../../remote/open-server.ts';
import { remoteSolve } from '../../remote/remote-solve.ts';
import type { LayerId, Snapshot } from '../../snapshotter/snapshotter.ts';
import { downloaded } from '../../solver/deferred.ts';
import { marshalDefinition, toDefinition } from '../../solver/llb/definition.ts';
import type { LlbEdge, LlbVertex } from '../../solver/llb/graph.ts';
import type { BuildResult } from '../../solver/result.ts';
import type { AskedElsewhere } from '../../solver/solver.ts';
import { cutGraph } from './cut.ts';
import { graphNeeds, lendToWorker, sharedKeyFor } from './lend.ts';
import { LentCaches } from './lent-caches.ts';
import { INPUT_STORE, LentResults } from './lent-results.ts';
import { madeLayers, takeLayers } from './made-results.ts';
import { filesChanged, parseContents, ReadFiles, type SolverSide } from './read-files.ts';

/** A sub-graph that is to be solved elsewhere. */
export interface SentGraph {
  readonly edge: LlbEdge;
  readonly platform: Platform;
  /** The solver's edge of an edge of the graph. */
  readonly known: (edge: LlbEdge) => ReturnType<AskedElsewhere<BuildResult>['known']>;
  readonly side: SolverSide;
  /**
   * True for a worker that keeps the files of a directory for later builds, and tells what it read.
   */
  readonly remembers: boolean;
  /** True: cache mounts are lent to the worker, and taken from it. */
  readonly sharesCaches: boolean;
  /** Gets the progress, with the vertices of the build. */
  readonly progress: ProgressSink;
}

/** The store of the caller into which a server writes an OCI layout. */
const EXPORT_STORE = 'export';

/**
 * Has a server of BuildKit's API solve a sub-graph, and brings its result here. What the server
 * lacks of the inputs it asks for, and what this host has of the layers is not sent: `here` are the
 * layers that were sent or brought before, by diffID. Rejects with a
 * KilnError of the server's, or of what is wrong with its answer.
 */
export async function sendGraph(
  server: OpenServer,
  { edge, platform, known, side, remembers, sharesCaches, progress }: SentGraph,
  { services, session, images }: BuildWithWorkers,
  here: Map<Digest, LayerId>,
  signal: AbortSignal,
): Promise<Snapshot> {
  await using scope = new AsyncDisposableStack();
  const { snapshotter, store } = services;
  const inputs = new LentResults(services, here, scope.use(store.scratch('worker-inputs')).path);
  const cut = await cutGraph(edge, known, async (held) => {
    const context = { signal, progress: () => {}, vertex: edge.vertex.digest };
    const result = await downloaded(held, context);
    return result.kind === 'snapshot' ? await inputs.offer(result.snapshot, platform) : undefined;
  });
  const output = scope.use(store.scratch('worker-output')).path;
  mkdirSync(output, { recursive: true });
  writeFileSync(join(output, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  writeFileSync(join(output, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [] }));
  const needs = await graphNeeds(cut.edge, session);
  const caches =
    sharesCaches && needs.caches.size > 0
      ? new LentCaches(needs.caches, store, scope.use(store.scratch('worker-caches')).path)
      : undefined;
  const lent = lendToWorker(
    needs,
    session,
    new Map([
      [`oci:${INPUT_STORE}`, inputs.store],
      [
        EXPORT_STORE,
        {
          root: output,
          isWritable: true,
          isHere: (digest: Digest) =>
            here.has(digest) ||
            snapshotter.find(digest) !== undefined ||
            services.content.size(digest) !== undefined,
        },
      ],
      ...(caches ? [caches.store] : []),
    ]),
    scope,
  );
  const answers = new Map([...lent, ...(caches?.methods(signal) ?? [])]);
  const attrs = { tar: 'false', compression: 'uncompressed' };
  const request = {
    definition: marshalDefinition(toDefinition(cut.edge)),
    frontendAttrs: { [READ_CONTENTS]: 'true', ...caches?.attributes },
    exporters: [{ type: 'oci', attrs }],
    exporterDeprecated: 'oci',
    exporterAttrsDeprecated: attrs,
    entitlements: [...needs.entitlements],
  };
  const files = new ReadFiles(cut, side);
  const report = translated(cut.origins, progress);
  const solve = async (lenderKey: string) => {
    const lender = { name: '', sharedKey: lenderKey };
    const { response } = await remoteSolve(server, { request, answers, lender }, report, signal);
    return response;
  };
  const own = sharedKeyFor(needs);
  // A worker that does not tell what it read starts with no file that looks the same.
  const exactly = files.name === '' ? own : digestOfParts([own, files.name]);
  let response = await solve(remembers ? own : exactly);
  const told = parseContents(response[READ_CONTENTS]);
  if (told && !files.areThoseOf(told)) {
    // Its copy has a file that looks like the one here, or one has changed meanwhile.
    response = await solve(exactly);
    if (!files.areThoseOf(parseContents(response[READ_CONTENTS]) ?? {})) throw filesChanged();
  } else if (!told) {
    const context = { signal, progress: () => {}, vertex: edge.vertex.digest };
    if (!(await files.areStillHere(side, context))) throw filesChanged();
  }
  const warn = (short: string) =>
    progress({ kind: 'warning', vertex: edge.vertex.digest, short, detail: [] });
  await caches?.take(response, signal, warn);
  const made = madeLayers(response, output);
  return await takeLayers(made, output, { sources: images, snapshotter }, here, signal);
}

/** Events about the vertices of the build. Those about what only the worker has are left out. */
function translated(origins: ReadonlyMap<Digest, LlbVertex>, progress: ProgressSink): ProgressSink {
  const originOf = (digest: Digest) => origins.get(digest)?.digest;
  return (event: ProgressEvent) => {
    if (!('vertex' in event) || event.vertex === undefined) {
      if (event.kind === 'warning') progress(event);
      return;
    }
    const vertex = originOf(event.vertex);
    if (vertex === undefined) return;
    if (event.kind !== 'vertex') progress({ ...event, vertex } as ProgressEvent);
    else {
      const inputs = origins.get(event.vertex)!.inputs.map((input) => input.vertex.digest);
      progress({ ...event, vertex, inputs });
    }
  };
}
