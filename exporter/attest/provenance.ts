import { hexOf } from '../../base/digest.ts';
import type { SourceText } from '../../base/errors.ts';
import type { Descriptor } from '../../base/oci.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import { redactUrl } from '../../base/redact.ts';
import { parseReference } from '../../base/reference.ts';
import type { LlbEdge } from '../../solver/llb/graph.ts';
import { topological } from '../../solver/llb/walk.ts';
import { type Material, reachesNetwork } from '../../solver/materials.ts';
import { rfc3339 } from '../history.ts';
import { type Predicate, type ProvenanceOptions, SLSA } from './attestation.ts';
import { graphSteps } from './graph.ts';
import { formatPurl, imagePurl } from './purl.ts';
import { stepLayers } from './step-layers.ts';

/** The request of a build, and its result. */
export interface BuildFacts {
  /** The name of the frontend. Undefined when nobody knows what made the graph. */
  readonly frontend: string | undefined;
  /** The version of the language that the frontend reads. */
  readonly language?: string | undefined;
  /** The Dockerfile: its name in its context, and its text. Undefined with the frontend. */
  readonly dockerfile:
    | {
        readonly name: string;
        readonly text: string;
        /** The directory that it was read from. */
        readonly directory?: LlbEdge | undefined;
      }
    | undefined;
  /** The URL of the context, if it is at a URL. */
  readonly context: string | undefined;
  /**
   * The frontend's options under BuildKit's names: `target`, `build-arg:X`, `label:l`, `no-cache`,
   * …
   */
  readonly args: Readonly<Record<string, string>>;
  /** Where the context comes from in a version control system: `source`, `revision`. */
  readonly vcs?: Readonly<Record<string, string>> | undefined;
  /** The names of the directories that the caller provided. */
  readonly locals: readonly string[];
  readonly buildPlatform: Platform;
  /** What is told about the builder beside its platform. */
  readonly environment?: Readonly<Record<string, unknown>> | undefined;
  /** The names of the steps that each other machine has run. */
  readonly workers: ReadonlyMap<string, readonly string[]>;
  /** The id of this run. Absent when the same inputs are to give the same bytes. */
  readonly invocation: string | undefined;
  /** Milliseconds since 1970. */
  readonly started: number;
  readonly finished: number;
}

/** The facts about one platform. */
export interface TargetFacts {
  readonly edge: LlbEdge | undefined;
  readonly materials: readonly Material[];
  /** The layers of the image. Undefined for a result that is written as files. */
  readonly layers?: readonly Descriptor[] | undefined;
}

type Mode = ProvenanceOptions['mode'];

/**
 * These arguments hold values of the user, which may be confidential. They are included in mode=max
 * only.
 */
const PRIVATE_ARGS = /^(build-arg|label):/;

/**
 * The provenance of one platform's image: SLSA v1 or v0.2, in BuildKit's form
 * (docs/attestations/slsa-definitions.md). It never contains the bytes of secrets, proxies, or
 * paths of this machine; logins in URLs are removed when it becomes a statement (statement.ts). In
 * mode=min it also has no values of build arguments and labels, and no names of secrets.
 */
export function provenance(
  options: ProvenanceOptions,
  build: BuildFacts,
  target: TargetFacts,
): Predicate {
  const facts = collect(options, build, target);
  const body = options.version === 'v1' ? bodyV1(options, facts) : bodyV02(options, facts);
  const { version, fileName = 'provenance.json' } = options;
  return { type: SLSA[version], body, fileName };
}

interface Facts {
  readonly build: BuildFacts;
  readonly dependencies: readonly object[] | undefined;
  readonly configSource: { readonly uri: string | undefined; readonly digest: object | undefined };
  readonly request: object;
  readonly complete: { readonly request: boolean; readonly dependencies: boolean };
  readonly hermetic: boolean;
  readonly graph: ReturnType<typeof graphSteps> | undefined;
  readonly workers: readonly object[] | undefined;
  /** What only BuildKit's form of provenance has. */
  readonly more: object;
}

function collect(
  { mode }: ProvenanceOptions,
  build: BuildFacts,
  { edge, materials, layers = [] }: TargetFacts,
): Facts {
  const args = Object.entries(build.args)
    .filter(([name]) => mode === 'max' || !PRIVATE_ARGS.test(name))
    .map(([name, value]) => [name, withoutLogin(address(value, mode))] as const);
  const local =
    materials.some(({ kind }) => kind === 'local') ||
    (build.frontend === undefined ? build.locals.length > 0 : build.context === undefined);
  const graph = mode === 'max' ? graphSteps(edge) : undefined;
  return {
    build,
    dependencies: nonEmpty(materials.flatMap((material) => dependency(material, mode) ?? [])),
    configSource: {
      uri: build.context === undefined ? undefined : withoutLogin(address(build.context, mode)),
      digest: digestOfContext(build, materials),
    },
    request: {
      frontend: build.frontend,
      args: args.length > 0 ? Object.fromEntries(args) : undefined,
      ...(mode === 'max' && { secrets: grants(edge, 'secret'), ssh: grants(edge, 'ssh') }),
      locals: nonEmpty(build.locals.map((name) => ({ name }))),
    },
    complete: {
      request:
        build.frontend !== undefined &&
        args.length === Object.keys(build.args).length &&
        mode === 'max',
      dependencies: !local,
    },
    hermetic: !local && !reachesNetwork(edge),
    graph,
    workers: toldWorkers(build, mode),
    more: {
      vcs: build.vcs && mapped(build.vcs, withoutLogin),
      ...(graph && {
        source: sourceOf(build.dockerfile?.text ? build.dockerfile : onlySource(edge), graph),
        layers: stepLayers(edge, layers),
      }),
    },
  };
}

/** The version of BuildKit's defaults that Kiln has: those of 0.31 and later. */
const COMPATIBILITY = 30;

function bodyV1({ builderId, reproducible }: ProvenanceOptions, facts: Facts): object {
  const { build, configSource, graph, more } = facts;
  return {
    buildDefinition: {
      buildType:
        'https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md',
      resolvedDependencies: facts.dependencies,
      externalParameters: {
        configSource: { ...configSource, path: build.dockerfile?.name },
        request: { ...facts.request, compatibilityVersion: COMPATIBILITY },
      },
      internalParameters: {
        buildConfig: graph && { llbDefinition: graph.llbDefinition },
        builderPlatform: formatPlatform(build.buildPlatform),
        dockerfileVersion: build.language,
        workers: facts.workers,
        ...build.environment,
      },
    },
    runDetails: {
      builder: { id: builderId },
      metadata: {
        invocationId: build.invocation,
        startedOn: rfc3339(build.started),
        finishedOn: rfc3339(build.finished),
        buildkit_metadata: more,
        buildkit_hermetic: facts.hermetic || undefined,
        buildkit_completeness: {
          request: facts.complete.request,
          resolvedDependencies: facts.complete.dependencies,
        },
        buildkit_reproducible: reproducible || undefined,
      },
    },
  };
}

function bodyV02({ builderId, reproducible }: ProvenanceOptions, facts: Facts): object {
  const { build, configSource, graph, more } = facts;
  return {
    builder: { id: builderId },
    buildType: 'https://mobyproject.org/buildkit@v1',
    materials: facts.dependencies,
    invocation: {
      configSource: { ...configSource, entryPoint: build.dockerfile?.name },
      parameters: facts.request,
      environment: {
        platform: formatPlatform(build.buildPlatform),
        workers: facts.workers,
        ...build.environment,
      },
    },
    buildConfig: graph && { llbDefinition: graph.llbDefinition },
    metadata: {
      buildInvocationID: build.invocation,
      buildStartedOn: rfc3339(build.started),
      buildFinishedOn: rfc3339(build.finished),
      completeness: {
        parameters: facts.complete.request,
        environment: true,
        materials: facts.complete.dependencies,
      },
      reproducible,
      'https://mobyproject.org/buildkit@v1#hermetic': facts.hermetic || undefined,
      'https://mobyproject.org/buildkit@v1#metadata': more,
    },
  };
}

/**
 * The other machines that ran steps. Which of several ran a step is chance, so nothing is told if
 * the same inputs are to give the same bytes. Names of steps have the values of arguments in them.
 */
function toldWorkers({ workers, invocation }: BuildFacts, mode: Mode): Facts['workers'] {
  if (invocation === undefined) return undefined;
  return nonEmpty(
    [...workers].map(([name, steps]) => ({ name, steps: mode === 'max' ? steps : undefined })),
  );
}

/** SLSA's ResourceDescriptor of a material. A directory of the caller has none. */
function dependency(material: Material, mode: Mode): object | undefined {
  switch (material.kind) {
    case 'image':
    case 'layout': {
      const type = material.kind === 'image' ? 'docker' : 'oci';
      return {
        uri: imagePurl(type, parseReference(material.name), material.platform),
        digest: { sha256: hexOf(material.digest) },
      };
    }
    case 'blob': {
      const { from, name, digest } = material;
      const type = from === 'registry' ? 'docker' : 'oci';
      const uri = formatPurl({ type, name, qualifiers: { digest, ref_type: 'blob' } });
      return { uri, digest: { sha256: hexOf(digest) } };
    }
    case 'git':
      return { uri: gitUri(material), digest: gitDigest(material.commit) };
    case 'http':
      return {
        uri: withoutLogin(address(material.url, mode)),
        digest: { sha256: hexOf(material.digest) },
      };
    case 'local':
      return undefined;
  }
}

/** The query of a URL often contains a token or the value of a build argument. */
function address(url: string, mode: Mode): string {
  return mode === 'max' ? url : url.replace(/\?[^#]*/, '');
}

/** BuildKit shows that there were a user and a password. Other logins are taken out later. */
function withoutLogin(text: string): string {
  return text.replace(/(:\/\/)[^/?#\s@:]+:[^/?#\s@]*@/, '$1xxxxx:xxxxx@');
}

function mapped(
  values: Readonly<Record<string, string>>,
  change: (value: string) => string,
): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]));
}

function gitUri({ told, ref }: Extract<Material, { kind: 'git' }>): string {
  return withoutLogin(ref === undefined ? told : `${told}#${ref}`);
}

function gitDigest(commit: string): object {
  return commit.length === 64 ? { sha256: commit } : { sha1: commit };
}

/** The digest of the context at a URL. */
function digestOfContext(
  { context }: BuildFacts,
  materials: readonly Material[],
): object | undefined {
  if (context === undefined) return undefined;
  for (const material of materials) {
    if (material.kind === 'git' && withoutLogin(context).startsWith(withoutLogin(material.told)))
      return gitDigest(material.commit);
    if (material.kind === 'http' && context === material.url)
      return { sha256: hexOf(material.digest) };
  }
  return undefined;
}

/** The secrets or ssh agents that the steps ask for, by name only. */
function grants(edge: LlbEdge | undefined, kind: 'secret' | 'ssh'): readonly object[] | undefined {
  const asked = new Map<string, boolean>();
  const ask = (id: string, optional: boolean) => asked.set(id, (asked.get(id) ?? true) && optional);
  for (const { op } of edge ? topological(edge) : []) {
    if (op.kind !== 'exec') continue;
    for (const mount of op.exec.mounts) {
      const grant = mount[kind];
      if (grant) ask(grant.id || 'default', grant.optional);
    }
    if (kind === 'secret')
      for (const { id, optional } of op.exec.secretenv ?? []) ask(id, optional);
  }
  const sorted = [...asked].sort(([a], [b]) => (a < b ? -1 : 1));
  return nonEmpty(sorted.map(([id, optional]) => ({ id, optional: optional || undefined })));
}

/** The Dockerfile, and the lines that each step comes from. */
function sourceOf(
  dockerfile: (Pick<SourceText, 'name' | 'text' | 'told'> & BuildFacts['dockerfile']) | undefined,
  { locations }: ReturnType<typeof graphSteps>,
): object {
  if (!dockerfile) return { locations };
  const language = dockerfile.told?.language ?? 'Dockerfile';
  const data = Buffer.from(redactUrl(dockerfile.text)).toString('base64');
  const read = dockerfile.directory && graphSteps(dockerfile.directory);
  const definition = read && { llbDefinition: read.llbDefinition };
  return { locations, infos: [{ filename: dockerfile.name, language, data, ...definition }] };
}

/** The file that a graph says it was made of. Lines of several files could not be told apart. */
function onlySource(edge: LlbEdge | undefined): SourceText | undefined {
  const ranges = (edge ? topological(edge) : []).flatMap(({ metadata }) => metadata.locations);
  const [source, ...others] = new Set(ranges.map((range) => range.source));
  if (!source || others.length > 0) return undefined;
  return source;
}

function nonEmpty<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length > 0 ? list : undefined;
}
