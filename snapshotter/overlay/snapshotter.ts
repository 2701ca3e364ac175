import { join } from 'node:path';
import { type Digest, digestOfParts, hexOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { ContentStore } from '../content.ts';
import type { ActiveSnapshot, ImageLayer, LayerId, LayerInfo, Snapshot, Snapshotter, View } from '../snapshotter.ts';
import { bootId } from '../store/owner.ts';
import type { Store } from '../store/root.ts';
import { enterPrivateMounts } from '../sys/namespace.ts';
import { ActiveLayer, OverlayActive } from './active.ts';
import { Flights } from './flights.ts';
import { LayerTable } from './layers.ts';
import { withLockFile } from './lockfile.ts';
import { missingLayer, stackOf } from './stack.ts';
import { Views } from './views.ts';

/** The work on bytes that a snapshotter hands to worker threads. */
export interface LayerJobs {
  /** Walks the layer directory `files` and answers what its tar is. */
  describe(files: string, signal: AbortSignal): Promise<LayerInfo>;
  /**
   * Unpacks the blob into the empty directory `files` and verifies it against `diffId`, KILN_DIGEST_MISMATCH when it is another.
   * With `root`, a mount of the layers below with `files` on top, the entries are written there. Answers undefined, and leaves
   * whatever it has written, when the layer needs a `root` and has none.
   */
  unpack(request: UnpackRequest, signal: AbortSignal): Promise<LayerInfo | undefined>;
  /** Writes back the file system that `path` is on. */
  sync(path: string): Promise<void>;
}

export interface UnpackRequest {
  readonly blob: string;
  readonly mediaType: string;
  readonly diffId: Digest;
  readonly files: string;
  readonly root?: string;
}

/** Snapshots as overlay mounts over `store.layers`. Needs CAP_SYS_ADMIN from the first mount on, and nothing before. */
export class OverlaySnapshotter implements Snapshotter, AsyncDisposable {
  readonly #store: Store;
  readonly #content: ContentStore;
  readonly #jobs: LayerJobs;
  readonly #table: LayerTable;
  readonly #views: Views;
  readonly #unpacking = new Flights<LayerId>();
  readonly #describing = new Flights<LayerInfo>();

  constructor(store: Store, content: ContentStore, jobs: LayerJobs) {
    this.#store = store;
    this.#content = content;
    this.#jobs = jobs;
    this.#table = new LayerTable(store);
    this.#views = new Views(store, this.#table);
  }

  async prepare(parent: Snapshot): Promise<ActiveSnapshot> {
    const lower = stackOf(this.#table, parent);
    enterPrivateMounts();
    const layer = new ActiveLayer(this.#store);
    try {
      layer.mount(lower);
    } catch (error) {
      layer[Symbol.dispose]();
      throw error;
    }
    return new OverlayActive(parent, layer, this.#table);
  }

  async view(snapshot: Snapshot): Promise<View> {
    enterPrivateMounts();
    return this.#views.open(snapshot);
  }

  async unpack(layer: ImageLayer, below: Snapshot, signal?: AbortSignal): Promise<LayerId> {
    const known = this.#unpacked(layer.diffId, below);
    if (known) return known;
    return this.#unpacking.run(`${layer.diffId} ${below.layers.join(' ')}`, signal, (all) => this.#unpack(layer, below, all));
  }

  find(diffId: Digest): LayerId | undefined {
    return this.#table.find(diffId);
  }

  has(snapshot: Snapshot): boolean {
    return this.#table.missing(snapshot.layers) === undefined;
  }

  async describe(layer: LayerId, signal?: AbortSignal): Promise<LayerInfo> {
    const record = this.#table.get(layer);
    if (!record) throw missingLayer(layer);
    if (record.info) return record.info;
    return this.#describing.run(layer, signal, async (all) => {
      const info = await this.#jobs.describe(this.#table.files(layer), all);
      this.#table.describe(layer, info);
      return info;
    });
  }

  touch(snapshot: Snapshot): void {
    this.#table.touch(snapshot.layers);
  }

  /** The directory of one committed layer, in the form overlay reads: for packing it, never for writing. */
  layerFiles(layer: LayerId): string {
    return this.#table.files(layer);
  }

  /**
   * Waits until the layers made so far are on disk, so that they outlive a power cut. A layer for which this has not happened is
   * dropped, not trusted, after a reboot.
   */
  async settle(): Promise<void> {
    const layers = this.#table.unsettled();
    if (layers.length === 0) return;
    await this.#jobs.sync(this.#store.root);
    this.#table.settled(layers);
  }

  /** Takes all views away and writes what `touch` collected. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#views.close();
    this.#table.flush();
  }

  /** The layer when it was unpacked before: by itself, or above these very layers. */
  #unpacked(diffId: Digest, below: Snapshot): LayerId | undefined {
    const alone = this.#table.find(diffId);
    if (alone) return alone;
    const above = idAbove(diffId, below);
    return this.#table.missing([above]) ? undefined : above;
  }

  async #unpack(layer: ImageLayer, below: Snapshot, signal: AbortSignal): Promise<LayerId> {
    const lock = join(this.#store.tmp, 'locks', hexOf(layer.diffId));
    return withLockFile(lock, signal, async () => {
      // Another process, or a flight above other layers, may have done it while we waited.
      return (
        this.#unpacked(layer.diffId, below) ?? (await this.#unpackAlone(layer, signal)) ?? this.#unpackAbove(layer, below, signal)
      );
    });
  }

  async #unpackAlone(layer: ImageLayer, signal: AbortSignal): Promise<LayerId | undefined> {
    using made = new ActiveLayer(this.#store);
    const info = await this.#jobs.unpack(this.#request(layer, made.upper), signal);
    return info && this.#keep(`d${hexOf(layer.diffId)}` as LayerId, info, true, made);
  }

  async #unpackAbove(layer: ImageLayer, below: Snapshot, signal: AbortSignal): Promise<LayerId> {
    enterPrivateMounts();
    using made = new ActiveLayer(this.#store);
    made.mount(stackOf(this.#table, below));
    const info = await this.#jobs.unpack({ ...this.#request(layer, made.upper), root: made.root }, signal);
    if (!info) throw new Error(`layer ${layer.diffId} asked for parents that it had`);
    return this.#keep(idAbove(layer.diffId, below), info, false, made);
  }

  #request(layer: ImageLayer, files: string): UnpackRequest {
    return { blob: this.#content.path(layer.blob), mediaType: layer.mediaType, diffId: layer.diffId, files };
  }

  #keep(id: LayerId, info: LayerInfo, alone: boolean, made: ActiveLayer): LayerId {
    made.strip();
    this.#table.add({ id, info, alone, created: Date.now(), boot: bootId() }, made.directory);
    return id;
  }
}

/** The id of a layer that is only good above `below`. */
function idAbove(diffId: Digest, below: Snapshot): LayerId {
  return `c${hexOf(digestOfParts([diffId, ...below.layers]))}` as LayerId;
}

/** KILN_STORE_DAMAGED for a layer whose directory no longer gives the tar it is known by. */
export function damagedLayer(layer: LayerId, expected: Digest, found: Digest): KilnError {
  return new KilnError(
    'KILN_STORE_DAMAGED',
    `the files of layer ${layer} have changed: they pack to ${found} instead of ${expected}`,
    {
      hint: 'run `kiln prune --all`, then build again',
    },
  );
}
