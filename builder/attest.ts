import { basename } from 'node:path';
import type { Descriptor } from '../base/oci.ts';
import type { Platform } from '../base/platform.ts';
import { printable } from '../base/printable.ts';
import type { ProgressSink } from '../base/progress.ts';
import type { AttestOptions, Attestor, Predicate } from '../exporter/attest/attestation.ts';
import type { BuildFacts } from '../exporter/attest/provenance.ts';
import type { BuiltTarget } from '../exporter/target.ts';
import { LANGUAGE } from '../frontend/syntax.ts';
import { hostPlatform } from '../registry/platforms.ts';
import type { StoreServices } from '../snapshotter/overlay/services.ts';
import type { Snapshot } from '../snapshotter/snapshotter.ts';
import { localSource } from '../solver/llb/builder.ts';
import { seal } from '../solver/llb/draft.ts';
import type { LlbEdge } from '../solver/llb/graph.ts';
import { materialsOf } from '../solver/materials.ts';
import type { StepSession } from '../solver/step-session.ts';
import type { AnsweredTarget } from './answered-target.ts';
import type { NamedFrontend } from './bridge.ts';
import type { LoadedContext } from './context/loaded-context.ts';
import { type BuildRequest, dockerfileName, IMAGE_FRONTEND } from './request.ts';
import { provenanceArguments } from './request-fields.ts';

/** The parts of a solved build that attestations are made from. */
export interface AttestedBuild {
  readonly request: BuildRequest;
  /** The ID of the build. Undefined when it has no log. */
  readonly id: string | undefined;
  readonly services: Pick<StoreServices, 'snapshotter' | 'store'>;
  readonly progress: ProgressSink;
  readonly dockerfile: LoadedContext['dockerfile'];
  /** The platform of image sources without a platform. */
  readonly platform: Platform;
  /** The session of the steps. It knows the commits and files that sources resolved to. */
  readonly session: StepSession;
  /** The graph of each target. */
  readonly results: ReadonlyMap<BuiltTarget, AnsweredTarget>;
  /** What came with the result: the predicates of each target, and whether they include an SBOM. */
  readonly returned: ReadonlyMap<BuiltTarget, ReturnedPredicates>;
  /** The trees that Kiln's own SBOM tells besides the result, by their names. */
  readonly scanned: ReadonlyMap<BuiltTarget, ReadonlyMap<string, Snapshot>>;
  /** The frontend in an image that made the graphs, if one did. */
  readonly frontend?: NamedFrontend | undefined;
  /** True when a client returned the result. */
  readonly isDriven: boolean;
  /** What the engine adds to the environment that provenance tells. */
  readonly environment: Readonly<Record<string, unknown>> | undefined;
  /** The names of the steps that each other machine has run. */
  readonly workers: ReadonlyMap<string, readonly string[]>;
  /** Milliseconds since 1970. */
  readonly started: number;
  /** Milliseconds since 1970. */
  readonly finished: number;
}

/** The predicates that a client or a frontend in an image returned with a target. */
export interface ReturnedPredicates {
  readonly predicates: readonly Predicate[];
  readonly hasSbom: boolean;
}

/**
 * Makes the function that returns the predicates of a target, as `--provenance` and `--sbom` ask.
 * They are made when an exporter first asks for them, and once for each target.
 */
export function openAttestor(build: AttestedBuild): Attestor {
  // Two images of one target differ in their layers when they are compressed in different ways.
  const made = new Map<BuiltTarget, Map<string, Promise<readonly Predicate[]>>>();
  return (target, layers = []) => {
    const key = layers.map(({ digest }) => digest).join();
    let ofTarget = made.get(target);
    if (!ofTarget) made.set(target, (ofTarget = new Map()));
    let predicates = ofTarget.get(key);
    if (!predicates)
      ofTarget.set(key, (predicates = attest(build, target, build.request.attest, layers)));
    return predicates;
  };
}

/** Makes the predicates that `asked` names. */
export async function attest(
  build: AttestedBuild,
  target: BuiltTarget,
  asked: AttestOptions,
  layers: readonly Descriptor[] = [],
): Promise<readonly Predicate[]> {
  const returned = build.returned.get(target);
  const predicates: Predicate[] = [];
  for (const predicate of returned?.predicates ?? [])
    predicates.push(
      predicate.isSbomOfResult && layers.length > 0
        ? await (await import('./sbom-layers.ts')).withLayers(
            predicate,
            target.snapshot,
            layers,
            build.services.snapshotter,
          )
        : predicate,
    );
  if (asked.sbom && !asked.scanner && !returned?.hasSbom) {
    predicates.push(await sbom(build, target.snapshot));
    for (const [name, tree] of build.scanned.get(target) ?? [])
      predicates.push(await sbom(build, tree, name));
  }
  if (asked.provenance) {
    const { provenance } = await import('../exporter/attest/provenance.ts');
    const { edge, attestations = [], isGraph } = build.results.get(target) ?? {};
    // A scanner is a part of the build, too.
    const edges = [edge, ...attestations.map((attestation) => attestation.edge)];
    const image = build.frontend && [{ kind: 'image' as const, ...build.frontend.image }];
    const own = await materialsOf(edges, build.platform, build.session);
    const materials = [...(image ?? []), ...own];
    const { inlineOnly } = asked.provenance;
    const facts = factsOf(build);
    const told = isGraph && build.isDriven ? ofGraph(facts, build.session.found.locals) : facts;
    const made = provenance(asked.provenance, told, { edge, materials, layers });
    predicates.push({ ...made, inlineOnly });
  }
  return predicates;
}

/** The SBOM of the result, or of a tree that has a name of its own. */
async function sbom(
  { request, services: { snapshotter, store }, progress }: AttestedBuild,
  tree: Snapshot,
  name?: string,
): Promise<Predicate> {
  const [{ scanTree }, { spdx }] = await Promise.all([
    import('../exporter/sbom/scan.ts'),
    import('../exporter/sbom/spdx.ts'),
  ]);
  await using view = await snapshotter.view(tree);
  const scan = scanTree(view.root, (label) => store.scratch(label));
  if (scan.unread.length > 0)
    progress({
      kind: 'warning',
      short: `packages in ${shortList(scan.unread)} are not in the SBOM`,
      detail: [
        'Kiln reads rpm databases in SQLite or ndb form, and Go programs built by Go 1.18 or later',
      ],
    });
  const made = spdx(
    scan,
    name ?? request.tags[0] ?? 'image',
    request.epoch === undefined ? Date.now() : request.epoch * 1000,
  );
  return name === undefined ? made : { ...made, fileName: `sbom-${name}.spdx.json` };
}

function shortList(paths: readonly string[]): string {
  const shown = paths.slice(0, 3).map((path) => `/${printable(path)}`);
  const more = paths.length - shown.length;
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '');
}

/** The Dockerfile is in a directory of the caller. */
const READ_HERE: ReadonlySet<string> = new Set(['default', 'file', 'lent']);

/** The directory of the caller that has the Dockerfile, as the frontend of BuildKit names it. */
function directoryOf(name: string): LlbEdge {
  const followPaths = [
    name,
    `${name}.dockerignore`,
    ...(name === 'Dockerfile' ? [name.toLowerCase()] : []),
  ];
  const options = {
    sessionId: '',
    sharedKeyHint: 'dockerfile',
    followPaths,
    differ: 'none',
  } as const;
  return seal(
    localSource('dockerfile', () => options, {}),
    hostPlatform(),
  );
}

function factsOf(build: AttestedBuild): BuildFacts {
  const { request, id, dockerfile, environment, workers, started, finished } = build;
  const { epoch, context } = request;
  const fixed = epoch === undefined ? undefined : epoch * 1000;
  const name = basename(dockerfileName(request.dockerfile) ?? 'Dockerfile');
  return {
    frontend: build.frontend ? IMAGE_FRONTEND : 'dockerfile.v0',
    dockerfile: {
      name,
      text: dockerfile.text,
      ...(READ_HERE.has(request.dockerfile.kind) &&
        context.kind === 'directory' && { directory: directoryOf(name) }),
    },
    language: LANGUAGE,
    context: addressOf(context),
    args: { ...provenanceArguments(request), ...build.frontend?.options },
    vcs: vcsOf(request),
    locals: context.kind === 'remote' ? [] : ['context', 'dockerfile'],
    buildPlatform: hostPlatform(),
    environment,
    workers,
    invocation: fixed === undefined ? id : undefined,
    started: fixed ?? started,
    finished: fixed ?? finished,
  };
}

/**
 * The URL of the context. That of a git repository with a query is told in the form with a
 * fragment, `REMOTE#REF:DIRECTORY`, so that ref and directory stay where queries are left out.
 */
function addressOf(context: BuildRequest['context']): string | undefined {
  if (context.kind !== 'remote') return undefined;
  const { git, url } = context;
  if (!git || !/\?[^#]/.test(url)) return url;
  const fragment = `${git.ref}${git.subdir && `:${git.subdir}`}`;
  return fragment === '' ? git.remote : `${git.remote}#${fragment}`;
}

/** Of a graph that a client made, the server knows neither the frontend nor its options. */
function ofGraph(facts: BuildFacts, locals: ReadonlySet<string>): BuildFacts {
  return {
    ...facts,
    frontend: undefined,
    language: undefined,
    dockerfile: undefined,
    context: undefined,
    args: {},
    vcs: undefined,
    // Its client may have read some of them, such as that of the Dockerfile, to make the graph.
    locals: [...locals].sort(),
  };
}

/** The options `vcs:…` of a frontend. They are no arguments: they change nothing. */
function vcsOf({ frontendOptions }: BuildRequest): BuildFacts['vcs'] {
  const given = [...frontendOptions].flatMap(([name, value]): [string, string][] =>
    name.startsWith('vcs:') ? [[name.slice('vcs:'.length), value]] : [],
  );
  return given.length > 0 ? Object.fromEntries(given) : undefined;
}
