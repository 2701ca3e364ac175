import type { ExportResponse } from '../../exporter/exporter.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';
import type { CacheFileSpec } from '../request.ts';
import { EarlyBlobs } from './early-blobs.ts';
import { type CachesToWrite, type CacheWriting, writeCaches } from './write-caches.ts';

/**
 * The caches of `--cache-to` that are not inline. Blobs for `mode=max` are sent while steps run.
 * All else is written at the end of the build.
 */
export class CacheFiles implements AsyncDisposable {
  readonly #specs: readonly CacheFileSpec[];
  readonly #writing: CacheWriting;
  #early: EarlyBlobs | undefined;

  constructor(specs: readonly CacheFileSpec[], writing: CacheWriting) {
    this.#specs = specs;
    this.#writing = writing;
  }

  /**
   * To be called when a step has made `layer`. For caches with `mode=max`, the layer is packed and
   * sent in the background. Returns false when there is no such cache.
   */
  layerMade(layer: LayerId): boolean {
    const specs = this.#specs.filter(({ mode }) => mode === 'max');
    if (specs.length === 0) return false;
    const { packing, registry, content, signal } = this.#writing;
    this.#early ??= new EarlyBlobs(
      specs.map((spec) => ({
        context: packing(spec),
        repository: spec.type === 'registry' ? spec.ref : undefined,
      })),
      () => registry.client(),
      content,
      signal,
    );
    this.#early.add(layer);
    return true;
  }

  /** Writes all of them, as `writeCaches` does. */
  async write(written: CachesToWrite): Promise<ExportResponse> {
    await this.#early?.settled();
    return await writeCaches(this.#specs, written, this.#writing);
  }

  /** Waits for background work to end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#early?.settled();
  }
}
