import { copyFileSync, existsSync, linkSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, digestOf, hexOf } from '../../base/digest.ts';
import { type Descriptor, MEDIA } from '../../base/oci.ts';
import type { Platform } from '../../base/platform.ts';
import type { Engine } from '../../builder/engine.ts';
import type { LentStore } from '../../remote/lend/lent-stores.ts';
import type { LayerId, Snapshot } from '../../snapshotter/snapshotter.ts';
import type { InputImage } from './cut.ts';

type LayerServices = Pick<Engine, 'snapshotter' | 'packer' | 'content' | 'forms'>;

/** The name of the layout in which results are lent. */
export const INPUT_STORE = 'kiln-inputs';

/**
 * Results that are lent to a worker, as images in a layout. A layer is made a blob when it is asked
 * for: a worker that has the layer never asks. It has the form in which the store has it, or else
 * no compression, and is then named by its diffID.
 */
export class LentResults {
  readonly #engine: LayerServices;
  readonly #here: Map<Digest, LayerId>;
  readonly #root: string;
  readonly #blobs: string;
  readonly #layers = new Map<Digest, LayerId>();

  constructor(engine: LayerServices, here: Map<Digest, LayerId>, root: string) {
    this.#engine = engine;
    this.#here = here;
    this.#root = root;
    this.#blobs = join(root, 'blobs/sha256');
    mkdirSync(this.#blobs, { recursive: true });
  }

  get store(): LentStore {
    return { root: this.#root, isWritable: false, make: (digest) => this.#make(digest) };
  }

  /** Makes an image of the layers, whose manifest names the digests of blobs alone. */
  async offer({ layers }: Snapshot, platform: Platform): Promise<InputImage> {
    const described = await Promise.all(layers.map((layer) => this.#describe(layer)));
    const config = this.#put({
      architecture: platform.architecture,
      os: platform.os,
      ...(platform.variant && { variant: platform.variant }),
      config: {},
      rootfs: { type: 'layers', diff_ids: described.map(({ diffId }) => diffId) },
      history: described.map(() => ({ created_by: 'kiln' })),
    });
    const manifest = this.#put({
      schemaVersion: 2,
      mediaType: MEDIA.ociManifest,
      config: { mediaType: MEDIA.ociConfig, ...config },
      layers: described.map(({ blob }) => blob),
    });
    return { reference: `kiln/result@${manifest.digest}`, store: INPUT_STORE };
  }

  async #describe(layer: LayerId): Promise<{ diffId: Digest; blob: Descriptor }> {
    const { diffId, tarSize } = await this.#engine.snapshotter.describe(layer);
    const [form] = this.#engine.forms.all(diffId);
    const blob = form
      ? { mediaType: form.mediaType, digest: form.digest, size: form.size }
      : { mediaType: MEDIA.ociLayer, digest: diffId, size: tarSize };
    this.#layers.set(blob.digest, layer);
    this.#here.set(diffId, layer);
    return { diffId, blob };
  }

  #put(document: object): Pick<Descriptor, 'digest' | 'size'> {
    const bytes = Buffer.from(JSON.stringify(document));
    const digest = digestOf(bytes);
    writeFileSync(join(this.#blobs, hexOf(digest)), bytes);
    return { digest, size: bytes.byteLength };
  }

  async #make(digest: Digest): Promise<void> {
    const layer = this.#layers.get(digest);
    const path = join(this.#blobs, hexOf(digest));
    if (!layer || existsSync(path)) return;
    const { content, packer } = this.#engine;
    if (content.size(digest) === undefined)
      await packer.pack(layer, { compression: 'uncompressed', force: true });
    // Both are in the store, so it is one file with two names. A worker may ask twice at once.
    const part = `${path}.${process.hrtime.bigint()}.part`;
    try {
      linkSync(content.path(digest), part);
    } catch {
      copyFileSync(content.path(digest), part);
    }
    renameSync(part, path);
  }
}
