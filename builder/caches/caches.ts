import type { ExportResponse } from '../../exporter/exporter.ts';
import type { BuiltTarget } from '../../exporter/target.ts';
import type { TargetResult } from '../../frontend/frontend.ts';
import type { RegistryOptions } from '../../registry/client.ts';
import type { ImageSources } from '../../registry/pull.ts';
import type { UnpackWorld } from '../../registry/unpack.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';
import type { BuildContext } from '../build-context.ts';
import type { Outcomes } from '../export/outcomes.ts';
import type { CacheFromSpec } from '../request.ts';
import { adoptImported } from './adopt.ts';
import { CacheFiles } from './cache-files.ts';
import { cachedTarget, type KeyedSteps, type SolvedTarget } from './cached-target.ts';
import { Imports } from './imports.ts';
import { inlineField } from './inline-field.ts';
import { LazyRegistry } from './lazy-registry.ts';
import { packContext } from './pack-context.ts';
import { type CachedSolve, solveImported } from './solve-imported.ts';

/**
 * The caches of one build. Those of `--cache-from` are read in parallel with the Dockerfile, and
 * are asked after the cache of the store. Those of `--cache-to` are written at the end of the
 * build. Blobs for `mode=max` are sent while steps run.
 */
export class BuildCaches implements AsyncDisposable {
  readonly #context: BuildContext;
  readonly #layers: UnpackWorld;
  readonly #registry: LazyRegistry;
  readonly #imports: Imports;
  readonly #files: CacheFiles;
  /** The steps that have a key after the last solve. Undefined until solving begins. */
  #steps: KeyedSteps | undefined;

  /** `options` says how registries are reached, also by `sources`. */
  constructor(context: BuildContext, sources: ImageSources, options: RegistryOptions) {
    const { request, engine, progress, signal } = context;
    const { content, snapshotter } = engine;
    const registry = new LazyRegistry(options);
    this.#context = context;
    this.#layers = { sources, snapshotter };
    this.#registry = registry;
    this.#imports = new Imports(request.cacheFrom, registry, progress, signal);
    this.#files = new CacheFiles(
      request.cacheTo.flatMap((spec) => (spec.type === 'inline' ? [] : [spec])),
      {
        content,
        sources,
        registry,
        packing: (spec) => packContext(spec, engine, request.epoch, signal),
        progress,
        signal,
      },
    );
  }

  /**
   * Solves the edges of `asked`, with the imported caches behind the cache of the store. When a
   * step fails, the steps that finished are written to the caches of `--cache-to` before the error
   * is thrown.
   */
  async solve(
    asked: CachedSolve,
    targets: readonly TargetResult[],
  ): Promise<readonly SolvedTarget[]> {
    const { engine, signal } = this.#context;
    const imports = await this.#imports.read();
    try {
      const solved = await solveImported(
        asked,
        imports,
        this.#layers,
        signal,
        (steps) => (this.#steps = steps),
      );
      if (this.#steps) adoptImported(asked.settings.cache, this.#steps, engine.snapshotter);
      return solved;
    } catch (error) {
      if (!signal.aborted) await this.#export(targets, [], true);
      throw error;
    }
  }

  /** Reads more caches, for what is solved from now on. */
  import(specs: readonly CacheFromSpec[]): void {
    this.#imports.add(specs);
  }

  /** True when there are caches to look into. */
  get imports(): boolean {
    return !this.#imports.isEmpty;
  }

  /** Solves edges whose results are read but not exported, with the imported caches. */
  async solveAside(asked: CachedSolve): Promise<readonly SolvedTarget[]> {
    const { engine, signal } = this.#context;
    let steps: KeyedSteps | undefined;
    const imports = await this.#imports.read();
    const solved = await solveImported(asked, imports, this.#layers, signal, (keyed) => {
      steps = keyed;
    });
    if (steps) adoptImported(asked.settings.cache, steps, engine.snapshotter);
    return solved;
  }

  /** To be called when a step has made `layer`. See CacheFiles. */
  layerMade(layer: LayerId): boolean {
    return this.#files.layerMade(layer);
  }

  /** The config of `target`. For `--cache-to type=inline` it has the records of the cache in it. */
  async completed(
    target: TargetResult,
    solved: SolvedTarget | undefined,
  ): Promise<Pick<BuiltTarget, 'config'>> {
    const isInline = this.#context.request.cacheTo.some(({ type }) => type === 'inline');
    const [cached] = cachedTarget(target, solved);
    if (!isInline || !cached || !this.#steps) return { config: target.config };
    const { snapshotter } = this.#layers;
    const { signal } = this.#context;
    const field = await inlineField(cached, this.#steps, snapshotter, signal);
    return { config: { ...target.config, ...field } };
  }

  /**
   * Writes every cache of `--cache-to` that is not inline, after a build that succeeded. `outcomes`
   * records the outcome of each. Returns what the exports report, merged.
   */
  export(
    built: readonly TargetResult[],
    solved: readonly (SolvedTarget | undefined)[],
    outcomes: Outcomes,
  ): Promise<ExportResponse> {
    return this.#export(built, solved, false, outcomes);
  }

  async #export(
    built: readonly TargetResult[],
    solved: readonly (SolvedTarget | undefined)[],
    failed: boolean,
    outcomes?: Outcomes,
  ): Promise<ExportResponse> {
    const steps = this.#steps;
    const targets = built.flatMap((target, index) => cachedTarget(target, solved[index]));
    if (!steps || targets.length === 0) return {};
    return await this.#files.write({ steps, targets, failed, outcomes });
  }

  /** Waits for background work to end, and then closes the connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#imports[Symbol.asyncDispose]();
    await this.#files[Symbol.asyncDispose]();
    await this.#registry[Symbol.asyncDispose]();
  }
}
