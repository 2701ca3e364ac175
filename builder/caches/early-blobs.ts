import { type PackContext, packedOutput } from '../../exporter/cache/collect.ts';
import type { RegistryClient, Repository } from '../../registry/client.ts';
import type { ContentStore } from '../../snapshotter/content.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';

interface EarlyTarget {
  readonly context: PackContext;
  /** The repository for the blobs. Undefined for a directory: a copy at the end is cheap. */
  readonly repository: Repository | undefined;
}

/**
 * Packs layers and sends their blobs in the background while other steps run. Errors are ignored
 * here. The export at the end needs the same blobs, skips those that the registry has, and reports
 * errors.
 */
export class EarlyBlobs {
  readonly #targets: Set<EarlyTarget>;
  readonly #client: () => Promise<RegistryClient>;
  readonly #content: Pick<ContentStore, 'open'>;
  readonly #signal: AbortSignal;
  readonly #waiting: LayerId[] = [];
  #lanes: Promise<void>[] = [];
  #running = 0;

  constructor(
    targets: readonly EarlyTarget[],
    client: () => Promise<RegistryClient>,
    content: Pick<ContentStore, 'open'>,
    signal: AbortSignal,
  ) {
    this.#targets = new Set(targets);
    this.#client = client;
    this.#content = content;
    this.#signal = signal;
  }

  /** Adds a layer that is to be packed and sent. */
  add(layer: LayerId): void {
    this.#waiting.push(layer);
    // Only two at a time, because steps have priority.
    if (this.#running < 2) this.#lanes.push(this.#lane());
  }

  /** Waits until all added layers are sent or have failed. */
  async settled(): Promise<void> {
    while (this.#running > 0) await Promise.all(this.#lanes);
    this.#lanes = [];
  }

  async #lane(): Promise<void> {
    this.#running++;
    for (let layer = this.#waiting.shift(); layer !== undefined; layer = this.#waiting.shift()) {
      for (const target of this.#targets) {
        // After a failure the target is not tried again with other layers.
        await this.#send(layer, target).catch(() => this.#targets.delete(target));
      }
    }
    this.#running--;
  }

  async #send(layer: LayerId, { context, repository }: EarlyTarget): Promise<void> {
    const packed = await packedOutput({ layers: [layer] }, context);
    if (!repository) return;
    const client = await this.#client();
    for (const { descriptor } of packed) {
      const { digest, size } = descriptor;
      const open = (start?: number, end?: number) => this.#content.open(digest, start, end);
      await client.pushBlob(repository, { digest, size, open }, { signal: this.#signal });
    }
  }
}
