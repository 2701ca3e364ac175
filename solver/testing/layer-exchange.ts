import type { Digest } from '../../base/digest.ts';
import type { LayerId, Snapshot } from '../../snapshotter/snapshotter.ts';
import type { TestHost } from './host.ts';

/** A layer as bytes, as an image holds it. */
export interface WireLayer {
  readonly diffId: Digest;
  readonly mediaType: string;
  readonly blob: Uint8Array;
}

type Store = Pick<TestHost, 'snapshotter' | 'content' | 'packer'>;

/**
 * The layers that two sides exchange, as one side sees them. Layers are named by diffID. Their
 * bytes are sent only if the other side does not have the layer.
 */
export class LayerExchange {
  readonly #store: Store;
  readonly #known = new Map<Digest, LayerId>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Makes the layers available to the other side. Returns their names. */
  async offer({ layers }: Snapshot): Promise<readonly Digest[]> {
    return await Promise.all(
      layers.map(async (layer) => {
        const { diffId } = await this.#store.snapshotter.describe(layer);
        if (!this.#known.has(diffId)) this.#known.set(diffId, layer);
        return diffId;
      }),
    );
  }

  /** The bytes of a layer that was offered. */
  async give(diffId: Digest): Promise<WireLayer> {
    const form = await this.#store.packer.pack(this.#known.get(diffId)!, {
      compression: 'uncompressed',
    });
    return { diffId, mediaType: form.mediaType, blob: this.#store.content.read(form.digest) };
  }

  /**
   * Makes a snapshot of layers that the other side has offered. `fetch` gets a layer that is
   * missing.
   */
  async take(
    diffIds: readonly Digest[],
    fetch: (diffId: Digest) => Promise<WireLayer>,
  ): Promise<Snapshot> {
    const layers: LayerId[] = [];
    for (const diffId of diffIds) {
      const layer =
        this.#known.get(diffId) ??
        this.#store.snapshotter.find(diffId) ??
        (await this.#unpack(await fetch(diffId), layers));
      this.#known.set(diffId, layer);
      layers.push(layer);
    }
    return { layers };
  }

  async #unpack(
    { diffId, mediaType, blob }: WireLayer,
    below: readonly LayerId[],
  ): Promise<LayerId> {
    const image = { diffId, mediaType, blob: this.#store.content.put(blob) };
    return await this.#store.snapshotter.unpack(image, { layers: [...below] });
  }
}
