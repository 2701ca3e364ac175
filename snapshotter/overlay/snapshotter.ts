import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type Digest, digestOfParts, hexOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { ArrivingBlob, BlobForm, BlobForms, ContentStore } from '../content.ts';
import { compressionIn } from '../layer/inflate.ts';
import { hidesAnyWhole, nameHidden } from '../layer/named-marks.ts';
import type {
  ActiveSnapshot,
  ImageLayer,
  LayerId,
  LayerInfo,
  Snapshot,
  Snapshotter,
  TarForm,
  View,
  Writer,
} from '../snapshotter.ts';
import { digestOfFile } from '../store/file-digest.ts';
import { typeFor } from '../store/forms.ts';
import { bootId } from '../store/owner.ts';
import type { Store } from '../store/root.ts';
import { Gate } from '../sys/gate.ts';
import type { OnMoved } from '../workers/job.ts';
import { ActiveLayer, OverlayActive } from './active.ts';
import { Flights } from './flights.ts';
import type { LayerJobs, UnpackRequest } from './jobs.ts';
import type { LayerTable } from './layers.ts';
import { withLockFile } from './lockfile.ts';
import { missingLayer } from './missing.ts';
import { isLayerId, mayBeBase, originalOf } from './sidecar.ts';
import { stackOf } from './stack.ts';
import type { Trees } from './trees.ts';
import { Views } from './views.ts';
import { writeBack } from './write-back.ts';

/** The number of layers that are unpacked at once. An image may have a thousand layers. */
const UNPACKING = 16;
/**
 * The number of layers that are unpacked at once while their blobs arrive: each of them has a
 * thread, which may have to wait for a slow network.
 */
const ARRIVING = 2;

/**
 * Snapshots over `store.layers`. `choose` decides how their trees are made. Nothing is chosen,
 * mounted or copied before it is needed.
 */
export class OverlaySnapshotter implements Snapshotter, AsyncDisposable {
  readonly #store: Store;
  readonly #content: ContentStore;
  readonly #forms: BlobForms;
  readonly #jobs: LayerJobs;
  readonly #table: LayerTable;
  readonly #views: Views;
  readonly #choose: () => Trees;
  #chosen: Trees | undefined;
  readonly #unpacking = new Flights<LayerId | undefined>();
  readonly #unpackingAbove = new Flights<LayerId>();
  readonly #describing = new Flights<LayerInfo>();
  /** Whom to tell how far the description of a layer is. */
  readonly #told = new Map<LayerId, Set<OnMoved>>();
  readonly #gate = new Gate(UNPACKING);
  /** The layers that are unpacked while their blobs are being written. */
  #arriving = 0;

  constructor(
    store: Store,
    table: LayerTable,
    content: ContentStore,
    forms: BlobForms,
    jobs: LayerJobs,
    choose: () => Trees,
  ) {
    this.#store = store;
    this.#forms = forms;
    this.#content = content;
    this.#jobs = jobs;
    this.#table = table;
    this.#choose = choose;
    this.#views = new Views(store, table, () => this.trees);
  }

  /** How this process makes trees in this store. */
  get trees(): Trees {
    return (this.#chosen ??= this.#choose());
  }

  async prepare(parent: Snapshot, writer: Writer = 'anyone'): Promise<ActiveSnapshot> {
    const lower = stackOf(this.#table, parent, 'a layer above');
    const { trees } = this;
    const layer = new ActiveLayer(this.#store);
    try {
      await this.#table.reading(parent.layers, () => layer.open(trees, lower, writer));
    } catch (error) {
      layer[Symbol.dispose]();
      throw error;
    }
    return new OverlayActive(parent, layer, this.#table, this.#views);
  }

  async revise(parent: Snapshot, layer: LayerId): Promise<ActiveSnapshot | undefined> {
    if (this.trees.kind !== 'overlay' || !mayBeBase(layer)) return undefined;
    const both = { layers: [...parent.layers, layer] };
    const lower = stackOf(this.#table, both, 'a layer above');
    const version = new ActiveLayer(this.#store, 'over');
    try {
      await this.#table.reading(both.layers, () => version.open(this.trees, lower, 'replacer'));
    } catch (error) {
      version[Symbol.dispose]();
      throw error;
    }
    return new OverlayActive(parent, version, this.#table, this.#views, layer);
  }

  async view(snapshot: Snapshot): Promise<View> {
    return await this.#table.reading(snapshot.layers, async () => this.#views.open(snapshot));
  }

  async unpack(
    layer: ImageLayer,
    below: Snapshot | (() => Promise<Snapshot>),
    signal?: AbortSignal,
  ): Promise<LayerId> {
    const known =
      typeof below === 'function'
        ? this.#table.find(layer.diffId)
        : this.#unpacked(layer.diffId, below);
    if (known) return known;
    const alone = await this.#unpacking.run(`${layer.diffId} ${layer.blob}`, signal, (all) =>
      this.#unpackAlone(layer, all),
    );
    if (alone) return alone;
    const stack = typeof below === 'function' ? await below() : below;
    const key = `${layer.diffId} ${layer.blob} ${stack.layers.join(' ')}`;
    return this.#unpackingAbove.run(key, signal, (all) => this.#unpackAbove(layer, stack, all));
  }

  async unpackArriving(
    layer: ImageLayer,
    size: number,
    signal?: AbortSignal,
  ): Promise<LayerId | undefined> {
    const known = this.#table.find(layer.diffId);
    if (known) return known;
    const blob = this.#content.arriving(layer.blob);
    if (!blob || this.#arriving >= ARRIVING) return undefined;
    this.#arriving++;
    try {
      const key = `${layer.diffId} ${layer.blob} arriving`;
      return await this.#unpacking.run(key, signal, (all) =>
        this.#unpackAlone(layer, all, { blob, size }),
      );
    } catch {
      return undefined;
    } finally {
      this.#arriving--;
    }
  }

  async squash(snapshot: Snapshot, keep: number, signal: AbortSignal): Promise<Snapshot> {
    const above = snapshot.layers.slice(keep);
    if (above.length < 2) return snapshot;
    await using active = await this.prepare({ layers: snapshot.layers.slice(0, keep) }, 'replacer');
    const directories = stackOf(this.#table, { layers: above });
    await this.#table.reading(above, () => this.#jobs.replay(directories, active.root, signal));
    return await active.commit();
  }

  async unpackMade(layer: ImageLayer, below: Snapshot, signal: AbortSignal): Promise<LayerId> {
    const id =
      (await this.#takeMade(layer, undefined, signal)) ??
      (await this.#takeMade(layer, below, signal));
    if (id && (await this.describe(id, signal)).diffId === layer.diffId) return id;
    if (id) this.discard(id);
    return await this.unpack(layer, below, signal);
  }

  /** Undefined when the layer cannot be unpacked without what is below it. */
  async #takeMade(
    layer: ImageLayer,
    below: Snapshot | undefined,
    signal: AbortSignal,
  ): Promise<LayerId | undefined> {
    using made = new ActiveLayer(this.#store);
    if (below)
      await this.#table.reading(below.layers, () =>
        made.open(this.trees, stackOf(this.#table, below), 'replacer'),
      );
    const request = this.#request(layer, made.files);
    const info = await this.#gate.through(() =>
      this.#unpackBlob(layer, { ...request, ...(below && { root: made.root }) }, signal),
    );
    if (!info) return undefined;
    await made.strip();
    const id = randomBytes(16).toString('hex') as LayerId;
    const created = layer.created || Date.now();
    this.#table.add({ id, alone: true, created, boot: bootId() }, made.directory);
    return id;
  }

  find(diffId: Digest): LayerId | undefined {
    return this.#table.find(diffId);
  }

  has(snapshot: Snapshot): boolean {
    return this.#table.missing(snapshot.layers) === undefined;
  }

  async describe(layer: LayerId, signal?: AbortSignal, onMoved?: OnMoved): Promise<LayerInfo> {
    const record = this.#table.get(layer);
    if (!record) throw missingLayer(layer);
    if (record.info) return record.info;
    // The work is shared, and whoever waits for it is told how far it is.
    const told = this.#told.get(layer) ?? new Set();
    this.#told.set(layer, told);
    if (onMoved) told.add(onMoved);
    try {
      return await this.#describing.run(layer, signal, async (all) => {
        const info = await this.#table.reading([layer], () =>
          this.#jobs.describe(this.#table.source(layer), all, (bytes) => {
            for (const tell of told) tell(bytes);
          }),
        );
        this.#table.describe(layer, info);
        return info;
      });
    } finally {
      if (onMoved) told.delete(onMoved);
      if (told.size === 0) this.#told.delete(layer);
    }
  }

  packedAs(layer: LayerId, form: TarForm): LayerId {
    return this.#table.packedAs(layer, form);
  }

  async movable(snapshot: Snapshot): Promise<Snapshot> {
    const layers = [...snapshot.layers];
    // The lowest layer has nothing below it to hide.
    for (let at = 1; at < layers.length; at++)
      layers[at] = await this.#named(layers[at]!, { layers: snapshot.layers.slice(0, at) });
    return { layers };
  }

  async #named(layer: LayerId, below: Snapshot): Promise<LayerId> {
    // A copy that is a version of another one removes nothing.
    const [files = '', over] = this.#table.directories(layer);
    if (over !== undefined) return layer;
    return await this.#table.reading([layer, ...below.layers], async () => {
      if (!hidesAnyWhole(files)) return layer;
      using made = new ActiveLayer(this.#store);
      await using view = await this.view(below);
      nameHidden(files, made.files, view.root, this.trees.marks);
      await made.strip();
      const id = randomBytes(16).toString('hex') as LayerId;
      const created = this.#table.get(layer)?.created ?? Date.now();
      this.#table.add({ id, alone: true, created, boot: bootId() }, made.directory);
      return id;
    });
  }

  windowsFiles(layer: LayerId): LayerId {
    return this.#table.windowsFiles(layer);
  }

  isForWindows(layer: LayerId): boolean {
    return originalOf(layer).windows === true;
  }

  directories(layer: LayerId): readonly string[] {
    return isLayerId(layer) && this.#table.missing([layer]) === undefined
      ? this.#table.directories(layer)
      : [];
  }

  discard(layer: LayerId): void {
    this.#table.remove(layer);
  }

  touch(snapshot: Snapshot): void {
    this.#table.touch(snapshot.layers);
  }

  /**
   * Starts to write the layers made so far back to disk, so that they survive a power cut. A
   * separate process does it, because it takes as long as the disk does; the promise settles when
   * that process has ended. After a reboot, a layer that was not written back is dropped. Returns
   * undefined when there is no such layer.
   */
  writeBack(): Promise<void> | undefined {
    if (!this.#table.hasUnsettled()) return undefined;
    this.#table.noteSettled();
    return writeBack(this.#store.root);
  }

  /**
   * Call this when a use of the store ends, before its layers are let go of (store/leases.ts):
   * removes the views that nobody uses, and writes what `touch` collected.
   */
  rest(): void {
    this.#views.rest();
    this.#table.flush();
  }

  /** Removes all views and writes what `touch` collected. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#views.close();
    this.#table.flush();
  }

  /** The layer if it was unpacked before: by itself, or above the same layers. */
  #unpacked(diffId: Digest, below: Snapshot): LayerId | undefined {
    const alone = this.#table.find(diffId);
    if (alone) return alone;
    const above = idAbove(diffId, below);
    return this.#table.missing([above]) ? undefined : above;
  }

  /** Undefined when the layer cannot stand alone. */
  async #unpackAlone(
    layer: ImageLayer,
    signal: AbortSignal,
    arriving?: { readonly blob: ArrivingBlob; readonly size: number },
  ): Promise<LayerId | undefined> {
    return this.#locked(layer, signal, async () => {
      // Another process may have unpacked it during the wait.
      const known = this.#table.find(layer.diffId);
      if (known) return known;
      using made = new ActiveLayer(this.#store);
      const info = arriving
        ? await this.#follow(layer, made.files, arriving, signal)
        : await this.#unpackBlob(layer, this.#request(layer, made.files), signal);
      return info && (await this.#keep(`d${hexOf(layer.diffId)}` as LayerId, layer, info, made));
    });
  }

  async #unpackAbove(layer: ImageLayer, below: Snapshot, signal: AbortSignal): Promise<LayerId> {
    return this.#locked(layer, signal, async () => {
      const known = this.#unpacked(layer.diffId, below);
      if (known) return known;
      using made = new ActiveLayer(this.#store);
      await this.#table.reading(below.layers, () =>
        made.open(this.trees, stackOf(this.#table, below), 'replacer'),
      );
      const info = await this.#unpackBlob(
        layer,
        { ...this.#request(layer, made.files), root: made.root },
        signal,
      );
      if (!info) throw new Error(`layer ${layer.diffId} asked for parents that it had`);
      return await this.#keep(idAbove(layer.diffId, below), layer, info, made, below.layers);
    });
  }

  /**
   * Unpacks the blob. If the blob is damaged on this disk, it is removed, so that it is fetched
   * again.
   */
  async #unpackBlob(
    { blob, onMoved }: ImageLayer,
    request: UnpackRequest,
    signal: AbortSignal,
  ): Promise<LayerInfo | undefined> {
    try {
      return await this.#jobs.unpack(request, signal, onMoved);
    } catch (error) {
      if (
        !(error instanceof KilnError) ||
        error.code === 'KILN_CANCELLED' ||
        digestOfFile(request.blob) === blob
      )
        throw error;
      this.#content.remove(blob);
      throw new KilnError(
        'KILN_BLOB_CORRUPT',
        `the blob ${blob} is damaged: its content does not match its digest`,
        {
          hint:
            'it was removed: run the command again, and pull or load the image ' +
            'if the blob is still missing',
          cause: error,
        },
      );
    }
  }

  /** Unpacks a blob while it is being written. What was made is right only if the blob is. */
  async #follow(
    { diffId, onMoved }: ImageLayer,
    files: string,
    { blob, size }: { readonly blob: ArrivingBlob; readonly size: number },
    signal: AbortSignal,
  ): Promise<LayerInfo | undefined> {
    const { written, path } = blob;
    const { marks } = this.trees;
    const request = { blob: path, diffId, files, marks, arriving: { written, size } };
    const info = await this.#jobs.unpack(request, signal, onMoved);
    await blob.arrived;
    return info;
  }

  /**
   * Lets one process at a time unpack a layer. In this process, descriptors and threads limit how
   * many are unpacked at once.
   */
  #locked<V>(layer: ImageLayer, signal: AbortSignal, body: () => Promise<V>): Promise<V> {
    const lock = join(this.#store.tmp, 'locks', hexOf(layer.diffId));
    return this.#gate.through(() => withLockFile(lock, signal, body));
  }

  #request(layer: ImageLayer, files: string): UnpackRequest {
    return {
      blob: this.#content.path(layer.blob),
      diffId: layer.diffId,
      files,
      marks: this.trees.marks,
    };
  }

  async #keep(
    id: LayerId,
    layer: ImageLayer,
    info: LayerInfo,
    made: ActiveLayer,
    below?: readonly LayerId[],
  ): Promise<LayerId> {
    await made.strip();
    const alone = id.startsWith('d');
    this.#table.add(
      {
        id,
        info,
        alone,
        created: layer.created || Date.now(),
        boot: bootId(),
        below,
        form: this.#remember(layer),
      },
      made.directory,
    );
    return id;
  }

  /**
   * Records that the blob holds the layer, so that an exporter can use the same bytes. It is called
   * only for a layer that was just unpacked: what an image merely says about a blob is not proven.
   * Compression and media type are taken from the bytes.
   */
  #remember({ diffId, blob, mediaType }: ImageLayer): BlobForm | undefined {
    const size = this.#content.size(blob);
    if (size === undefined) return undefined;
    const compression = compressionIn(this.#content.path(blob));
    const form: BlobForm = {
      diffId,
      digest: blob,
      size,
      mediaType: typeFor(compression, mediaType),
      compression,
      variant: 'pulled',
    };
    if (!this.#forms.all(diffId).some(({ digest }) => digest === blob)) this.#forms.record(form);
    return form;
  }
}

/** The id of a layer that is valid only above `below`. */
function idAbove(diffId: Digest, below: Snapshot): LayerId {
  return `c${hexOf(digestOfParts([diffId, ...below.layers]))}` as LayerId;
}
