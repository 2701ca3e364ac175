import { type PackContext, packedOutput } from '../../exporter/cache/collect.ts';
import type { RegistryClient, Repository } from '../../registry/client.ts';
import type { ContentStore } from '../../snapshotter/content.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';

/** What it needs of the build. */
interface EarlyBuild {
  readonly engine: { readonly content: Pick<ContentStore, 'open'> };
  readonly signal: AbortSignal;
}

interface EarlyTarget {
  readonly context: PackContext;
  /** Where the blob is sent; undefined for a directory, where a copy at the end costs nothing. */
  readonly repository: Repository | undefined;
}

/**
 * Blobs of layers, made and sent in the background while other steps run. Nothing here fails: the
 * export at the end asks for the same blobs again, finds those that are there, and reports what
 * goes wrong.
 */
export class EarlyBlobs {
  readonly #targets: Set<EarlyTarget>;
  readonly #client: () => Promise<RegistryClient>;
  readonly #build: EarlyBuild;
  readonly #waiting: LayerId[] = [];
  #lanes: Promise<void>[] = [];
  #running = 0;

  constructor(
    targets: readonly EarlyTarget[],
    client: () => Promise<RegistryClient>,
    build: EarlyBuild,
  ) {
    this.#targets = new Set(targets);
    this.#client = client;
    this.#build = build;
  }

  add(layer: LayerId): void {
    this.#waiting.push(layer);
    // Two at a time: steps come first.
    if (this.#running < 2) this.#lanes.push(this.#lane());
  }

  /** Answers when nothing is under way any more. */
  async settled(): Promise<void> {
    while (this.#running > 0) await Promise.all(this.#lanes);
    this.#lanes = [];
  }

  async #lane(): Promise<void> {
    this.#running++;
    for (let layer = this.#waiting.shift(); layer !== undefined; layer = this.#waiting.shift()) {
      for (const target of this.#targets) {
        // One that does not answer is not tried again for each layer.
        await this.#send(layer, target).catch(() => this.#targets.delete(target));
      }
    }
    this.#running--;
  }

  async #send(layer: LayerId, { context, repository }: EarlyTarget): Promise<void> {
    const { signal, engine } = this.#build;
    const packed = await packedOutput({ layers: [layer] }, context);
    for (const { descriptor } of repository ? packed : []) {
      const open = (start?: number, end?: number) =>
        engine.content.open(descriptor.digest, start, end);
      await (await this.#client()).pushBlob(
        repository!,
        { digest: descriptor.digest, size: descriptor.size, open },
        { signal },
      );
    }
  }
}
