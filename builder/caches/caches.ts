import type { Digest } from '../../base/digest.ts';
import { CancelledError, errnoOf, KilnError, messageOf } from '../../base/errors.ts';
import type { Descriptor } from '../../base/oci.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import { parseReference } from '../../base/reference.ts';
import type { CacheRecord, CacheStore } from '../../cache/cache.ts';
import { RemoteStack, withImports } from '../../cache/remote/imported.ts';
import { inlineCache } from '../../cache/remote/inline.ts';
import { INLINE_FIELD, type RemoteLayer } from '../../cache/remote/record.ts';
import { type ReadCache, readCache } from '../../cache/remote/source.ts';
import { withSoundBlobs } from '../../exporter/again.ts';
import {
  type Candidate,
  diffIdsOf,
  type FinishedStep,
  finishedSteps,
  originsOf,
  type PackContext,
  packedRecords,
  positionsIn,
  type StepOutput,
  seenRecords,
} from '../../exporter/cache/collect.ts';
import { cacheDocuments } from '../../exporter/cache/documents.ts';
import { localTarget } from '../../exporter/cache/local.ts';
import { registryTarget } from '../../exporter/cache/registry.ts';
import { type CacheTarget, exportCache } from '../../exporter/cache/target.ts';
import type { BuiltTarget } from '../../exporter/exporter.ts';
import { reported } from '../../exporter/progress.ts';
import type { PushBlob } from '../../exporter/push.ts';
import type { TargetResult } from '../../frontend/frontend.ts';
import type { RegistryClient } from '../../registry/client.ts';
import type { ImageOrigin, ImageSources } from '../../registry/pull.ts';
import type { LayerId, Snapshot, Snapshotter } from '../../snapshotter/snapshotter.ts';
import { solveAgain } from '../../solver/again.ts';
import { bringStack } from '../../solver/bring.ts';
import { Deferred, type Held } from '../../solver/deferred.ts';
import type { LlbVertex } from '../../solver/llb/graph.ts';
import { topological } from '../../solver/llb/walk.ts';
import { type BuildResult, resultCodec } from '../../solver/result.ts';
import { bringAll } from '../../solver/solve.ts';
import type { Edge, KeyedVertex, SolverOptions } from '../../solver/solver.ts';
import type { World } from '../../solver/world.ts';
import { type BuildContext, registryOf } from '../build-context.ts';
import type { Fates } from '../export/fates.ts';
import { internalStep } from '../internal-step.ts';
import type { CacheFileSpec, CacheFromSpec } from '../request.ts';
import { EarlyBlobs } from './early-blobs.ts';

/** What a target came to: a result here, or layers of an imported cache that stay where they are. */
export interface SolvedTarget {
  readonly result?: BuildResult;
  readonly elsewhere?: RemoteStack;
}

/** What one target of the build is, as far as caches care. */
interface CachedTarget {
  readonly platform: Platform;
  /** What it came to: layers here or elsewhere; undefined when the build failed before. */
  readonly output: StepOutput | undefined;
  /** Digests of the vertices it is made of, top first along the first inputs; and all of them. */
  readonly spine: readonly Digest[];
  readonly vertices: ReadonlySet<Digest>;
}

/**
 * The caches of one build: those of `--cache-from` are read while the Dockerfile is, and stand behind the store's own records; those of
 * `--cache-to` are sent in part while steps run, and written at its end.
 */
export class BuildCaches implements AsyncDisposable {
  readonly #context: BuildContext;
  readonly #sources: ImageSources;
  readonly #imports: Promise<readonly ReadCache[]>;
  readonly #ended = new AbortController();
  #client: Promise<RegistryClient> | undefined;
  #early: EarlyBlobs | undefined;
  #keyed: readonly KeyedVertex<BuildResult>[] = [];
  #store: CacheStore | undefined;

  constructor(context: BuildContext, sources: ImageSources) {
    this.#context = context;
    this.#sources = sources;
    this.#imports = Promise.all(context.request.cacheFrom.map((spec) => this.#import(spec))).then((read) =>
      read.flatMap((one) => one ?? []),
    );
    this.#imports.catch(() => {});
  }

  /**
   * Solves with the imported records behind those of `settings`. When it fails, what was finished is exported. `mayLeave`: results that are
   * elsewhere may stay there.
   */
  async solve(
    settings: SolverOptions<BuildResult>,
    world: World,
    edges: readonly Edge<BuildResult>[],
    targets: readonly TargetResult[],
    mayLeave: boolean,
  ): Promise<readonly SolvedTarget[]> {
    const { engine, progress, signal } = this.#context;
    const { snapshotter } = engine;
    const imports = await this.#imports;
    const cache =
      imports.length > 0
        ? withImports(settings.cache, imports, (diffId) => snapshotter.find(diffId) !== undefined)
        : settings.cache;
    this.#store = cache;
    const options: SolverOptions<BuildResult> = {
      ...settings,
      cache,
      codec: {
        ...settings.codec,
        decode: resultCodec(snapshotter, (stack, context) => bringStack(world, stack, context)).decode,
      },
      onKeyed: (vertices) => (this.#keyed = vertices),
    };
    const use = async (held: readonly Held<BuildResult>[]) =>
      mayLeave && held.every(isElsewhere)
        ? held.map(({ about }) => ({ elsewhere: about }))
        : (await bringAll(held, edges, signal, progress)).map((result) => ({ result }));
    try {
      const solved = await solveAgain(options, edges, signal, use, ({ message, cause }) =>
        this.#warn(`${message}, its step is run instead: ${messageOf(cause)}`),
      );
      this.#adopt(settings.cache);
      return solved;
    } catch (error) {
      if (!signal.aborted) await this.export(targets, [], true);
      throw error;
    }
  }

  /** The config of `target` with its records, when an inline cache was asked for. */
  async completed(target: TargetResult, solved: SolvedTarget | undefined): Promise<Pick<BuiltTarget, 'config'>> {
    const [cached] = cachedTarget(target, solved);
    return { config: { ...target.config, ...(cached && (await this.#inlineField(cached))) } };
  }

  /**
   * Keeps imported records whose layers are all in the store by now as the store's own, so that a build without the import finds them.
   * Those of steps that nobody needed a layer of stay where they are.
   */
  #adopt(local: CacheStore): void {
    const { imported } = this.#store ?? {};
    if (!imported) return;
    const hereOf = adopter(this.#context.engine.snapshotter);
    for (const { vertex, key, aliases } of this.#keyed) {
      // Also of steps without a record here: that they were seen spares others to take their inputs for new.
      for (const alias of aliases) local.link(alias, key);
      const record = local.load(key) ? undefined : hereOf(imported.load(key));
      if (record) local.save({ ...record, description: vertex.name });
    }
    local.flush();
  }

  /** A step has made `layer`: its blob is made, and sent, while others run. */
  layerMade(layer: LayerId): boolean {
    const specs = this.#files().filter(({ mode }) => mode === 'max');
    if (specs.length === 0) return false;
    this.#early ??= new EarlyBlobs(
      specs.map((spec) => ({
        context: this.#packContext(spec),
        repository: spec.type === 'registry' ? parseReference(spec.dest) : undefined,
      })),
      () => this.#registry(),
      this.#context,
    );
    this.#early.add(layer);
    return true;
  }

  /** The value of the config field with the records of `target`, when an inline cache was asked for and there are any. */
  async #inlineField(target: CachedTarget): Promise<Record<string, string>> {
    if (!this.#context.request.cacheTo.some(({ type }) => type === 'inline') || !target.output) return {};
    const { engine, signal } = this.#context;
    const whole = await diffIdsOf(target.output, engine.snapshotter, signal);
    const candidates = this.#candidates([target]);
    const steps = finishedSteps(candidates, this.#store!, engine.snapshotter);
    const records = await Promise.all(
      steps.map(async ({ candidate, outputs, created }) => ({
        ...candidate,
        created,
        outputs: await Promise.all(
          outputs.map(async (output) => positionsIn(await diffIdsOf(output, engine.snapshotter, signal), whole)),
        ),
      })),
    );
    const inside = records.flatMap((record) =>
      record.outputs.every((positions) => positions !== undefined) ? [{ ...record, outputs: record.outputs }] : [],
    );
    if (inside.length === 0) return {};
    const keys = new Set(inside.map(({ key }) => key));
    const seen = seenRecords(
      candidates,
      steps.filter(({ candidate }) => keys.has(candidate.key)),
    );
    return { [INLINE_FIELD]: inlineCache([...inside, ...seen.map((record) => ({ ...record, outputs: [] }))]) };
  }

  /** Writes every `--cache-to` that is not inline. After a failed build its failure is the news: an export that fails is a warning. */
  async export(
    built: readonly TargetResult[],
    solved: readonly (SolvedTarget | undefined)[],
    failed: boolean,
    fates?: Fates,
  ): Promise<Readonly<Record<string, unknown>>> {
    const response: Record<string, unknown> = {};
    const targets = built.flatMap((target, index) => cachedTarget(target, solved[index]));
    if (!this.#store || targets.length === 0) return response;
    await this.#early?.settled();
    for (const spec of this.#files()) {
      try {
        const manifest = await withSoundBlobs(() => this.#exportOne(spec, targets, failed));
        if (manifest) response['cache.manifest'] = manifest;
        fates?.done(`cache to ${spec.dest}`);
      } catch (error) {
        if (this.#context.signal.aborted) throw error;
        if (!failed && !spec.ignoreError) fates?.failed(`cache to ${spec.dest}`, error);
        else this.#warn(`the cache was not exported to ${spec.dest}: ${messageOf(error)}`);
      }
    }
    return response;
  }

  async #exportOne(spec: CacheFileSpec, targets: readonly CachedTarget[], failed: boolean): Promise<Descriptor | undefined> {
    const { engine, progress, signal } = this.#context;
    const name = spec.type === 'local' ? 'exporting cache to client directory' : 'exporting cache to registry';
    return await reported(name, { progress, signal }, async (report) => {
      const candidates = this.#candidates(targets);
      const all = finishedSteps(candidates, this.#store!, engine.snapshotter);
      const steps = spec.mode === 'max' ? all : await this.#ofTheResult(all, targets);
      const packed = await report.task('preparing build cache for export', () => packedRecords(steps, this.#packContext(spec)));
      // A step that failed was not seen with its result.
      const records = failed ? packed : [...packed, ...seenRecords(candidates, steps)];
      const target = await this.#target(spec, originsOf(all));
      const platforms = targets.map(({ platform }) => formatPlatform(platform));
      const { imageManifest, ociTypes } = spec;
      const wanted = { records, platforms, failed, form: { imageManifest, ociTypes } };
      return await exportCache(target, wanted, cacheDocuments, report, (text) => this.#warn(text));
    });
  }

  /** mode=min: the steps whose layers are the result's own, which cost nothing more. After a failure, those of the furthest step. */
  async #ofTheResult(steps: readonly FinishedStep[], targets: readonly CachedTarget[]): Promise<FinishedStep[]> {
    const { engine, signal } = this.#context;
    const diffIds = (output: StepOutput) => diffIdsOf(output, engine.snapshotter, signal);
    const keys = new Map(this.#keyed.map(({ vertex, key }) => [vertex.digest, key]));
    const wholes = await Promise.all(
      targets.flatMap(({ output, spine }) => {
        const furthest = () =>
          spine.map((digest) => steps.find(({ candidate }) => candidate.key === keys.get(digest))).find(Boolean);
        const result = output ?? furthest()?.outputs[0];
        return result ? [diffIds(result)] : [];
      }),
    );
    const kept = await Promise.all(
      steps.map(async ({ outputs }) => {
        const own = await Promise.all(outputs.map(diffIds));
        return own.every((part) => wholes.some((whole) => positionsIn(part, whole)));
      }),
    );
    return steps.filter((_, index) => kept[index]);
  }

  /** The steps of the targets that have a key, each with the platforms it belongs to. Sources are not cached: they are where they are. */
  #candidates(targets: readonly CachedTarget[]): Candidate[] {
    const candidates = new Map<Digest, Candidate>();
    for (const { vertex, key, aliases } of this.#keyed) {
      const platforms = targets
        .filter(({ vertices }) => vertices.has(vertex.digest))
        .map(({ platform }) => formatPlatform(platform));
      if (platforms.length === 0) continue;
      const known = candidates.get(key);
      candidates.set(key, {
        key,
        aliases: [...new Set([...(known?.aliases ?? []), ...aliases])],
        platforms: [...new Set([...(known?.platforms ?? []), ...platforms])],
      });
    }
    return [...candidates.values()];
  }

  async #target(spec: CacheFileSpec, origins: ReadonlyMap<Digest, ImageOrigin>): Promise<CacheTarget> {
    const { engine, signal } = this.#context;
    const bring = async ({ descriptor }: RemoteLayer) => {
      const origin = origins.get(descriptor.digest);
      if (origin) await this.#sources.fetch({ origin }, descriptor, { signal });
    };
    if (spec.type === 'local') {
      const copy = async (layer: RemoteLayer, to: string) => {
        await bring(layer);
        await engine.content.copy(layer.descriptor.digest, to);
      };
      return localTarget(spec.dest, spec.tag, copy, signal);
    }
    const blob = (layer: RemoteLayer): PushBlob => {
      const origin = origins.get(layer.descriptor.digest);
      return {
        descriptor: layer.descriptor,
        knownIn: origin?.kind === 'registry' ? [origin.repository] : [],
        async *open(start, end) {
          await bring(layer);
          yield* engine.content.open(layer.descriptor.digest, start, end);
        },
      };
    };
    return registryTarget(await this.#registry(), parseReference(spec.dest), blob, signal);
  }

  #packContext(spec: CacheFileSpec): PackContext {
    const { engine, signal } = this.#context;
    const { epoch } = this.#context.request;
    return {
      packer: engine.packer,
      snapshotter: engine.snapshotter,
      wanted: {
        compression: spec.compression,
        level: spec.level,
        reproducible: epoch !== undefined,
        force: spec.forceCompression,
      },
      ociTypes: spec.ociTypes,
      clamp: epoch,
      signal,
    };
  }

  #files(): CacheFileSpec[] {
    return this.#context.request.cacheTo.flatMap((spec) => (spec.type === 'inline' ? [] : [spec]));
  }

  /** A cache that cannot be had is no reason not to build. */
  async #import(spec: CacheFromSpec): Promise<ReadCache | undefined> {
    const { progress } = this.#context;
    // A build that ends before (its Dockerfile is wrong) waits for no registry.
    const signal = AbortSignal.any([this.#context.signal, this.#ended.signal]);
    const name = spec.type === 'registry' ? spec.ref : spec.src;
    try {
      return await internalStep(progress, `importing cache manifest from ${name}`, async (step) => {
        const cache = await readCache(spec, () => this.#registry(), signal);
        step.done(`${cache.records.filter(({ outputs }) => outputs.length > 0).length} records`);
        return cache;
      });
    } catch (error) {
      if (signal.aborted || !(error instanceof KilnError || errnoOf(error))) throw error;
      this.#warn(`the cache of ${name} is not used: ${messageOf(error)}`);
      return undefined;
    }
  }

  #registry(): Promise<RegistryClient> {
    this.#client ??= (async () => {
      const { RegistryClient } = await import('../../registry/client.ts');
      return new RegistryClient(await registryOf(this.#context));
    })();
    return this.#client;
  }

  /** Ends what is under way, and then the connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort(new CancelledError());
    await this.#imports.catch(() => {});
    await this.#early?.settled();
    await (await this.#client?.catch(() => undefined))?.[Symbol.asyncDispose]();
  }

  #warn(short: string): void {
    this.#context.progress({ kind: 'warning', short, detail: [] });
  }
}

/** Looks for imported records whose layers are all in the store, and names them as the store does. Each layer is looked for once. */
function adopter(snapshotter: Pick<Snapshotter, 'find' | 'has'>): (records: readonly CacheRecord[]) => CacheRecord | undefined {
  const known = new Map<Digest, LayerId | undefined>();
  const find = (diffId: Digest) => {
    if (!known.has(diffId)) known.set(diffId, snapshotter.find(diffId));
    return known.get(diffId);
  };
  const here = (output: unknown): Snapshot | undefined => {
    if (!(output instanceof RemoteStack)) return undefined;
    const layers: LayerId[] = [];
    // From the top: it is the one that is missing, mostly.
    for (const { diffId } of output.layers.toReversed()) {
      const layer = find(diffId);
      if (!layer) return undefined;
      layers.unshift(layer);
    }
    return snapshotter.has({ layers }) ? { layers } : undefined;
  };
  return (records) => {
    for (const record of records) {
      const outputs = record.outputs.map(here);
      if (outputs.every((output) => output !== undefined)) return { ...record, outputs };
    }
    return undefined;
  };
}

/** A target as caches see it: its steps are all vertices but the sources, which are where they are. */
function cachedTarget({ platform, edge }: TargetResult, solved: SolvedTarget | undefined): CachedTarget[] {
  if (!edge) return [];
  const steps = topological(edge).filter(({ op }) => op.kind !== 'source');
  const spine: Digest[] = [];
  for (let at: LlbVertex | undefined = edge.vertex; at; at = at.inputs[0]?.vertex) spine.push(at.digest);
  const output = solved?.elsewhere ?? (solved?.result?.kind === 'snapshot' ? solved.result.snapshot : undefined);
  return [{ platform, output, spine, vertices: new Set(steps.map(({ digest }) => digest)) }];
}

function isElsewhere(held: Held<BuildResult>): held is Deferred<BuildResult> & { readonly about: RemoteStack } {
  return held instanceof Deferred && held.about instanceof RemoteStack;
}
