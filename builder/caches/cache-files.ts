import type { ExportResponse } from '../../exporter/exporter.ts';
import type { ImageSources } from '../../registry/pull.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';
import type { BuildContext } from '../build-context.ts';
import type { CacheFileSpec } from '../request.ts';
import { EarlyBlobs } from './early-blobs.ts';
import type { LazyRegistry } from './lazy-registry.ts';
import { packContext } from './pack-context.ts';
import { type CachesToWrite, writeCaches } from './write-caches.ts';

/**
 * The caches of `--cache-to` that are not inline. Blobs for `mode=max` are sent while steps run.
 * All else is written at the end of the build.
 */
export class CacheFiles implements AsyncDisposable {
  readonly #specs: readonly CacheFileSpec[];
  readonly #context: BuildContext;
  readonly #registry: LazyRegistry;
  readonly #sources: ImageSources;
  #early: EarlyBlobs | undefined;

  constructor(context: BuildContext, registry: LazyRegistry, sources: ImageSources) {
    this.#specs = context.request.cacheTo.flatMap((spec) => (spec.type === 'inline' ? [] : [spec]));
    this.#context = context;
    this.#registry = registry;
    this.#sources = sources;
  }

  /**
   * To be called when a step has made `layer`. For caches with `mode=max`, the layer is packed and
   * sent in the background. Returns false when there is no such cache.
   */
  layerMade(layer: LayerId): boolean {
    const specs = this.#specs.filter(({ mode }) => mode === 'max');
    if (specs.length === 0) return false;
    this.#early ??= new EarlyBlobs(
      specs.map((spec) => ({
        context: packContext(spec, this.#context),
        repository: spec.type === 'registry' ? spec.ref : undefined,
      })),
      () => this.#registry.client(),
      this.#context,
    );
    this.#early.add(layer);
    return true;
  }

  /** Writes all of them, as `writeCaches` does. */
  async write(written: Omit<CachesToWrite, 'sources' | 'registry'>): Promise<ExportResponse> {
    await this.#early?.settled();
    const all = { ...written, sources: this.#sources, registry: this.#registry };
    return await writeCaches(this.#specs, all, this.#context);
  }

  /** Waits for background work to end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#early?.settled();
  }
}
