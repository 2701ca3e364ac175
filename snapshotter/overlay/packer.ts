import { rmSync } from 'node:fs';
import { KilnError } from '../../base/errors.ts';
import { MEDIA } from '../../base/oci.ts';
import type { BlobForm, BlobForms, BlobWriter, Compression, ContentStore } from '../content.ts';
import type { LayerPacker, PackWatcher, WantedForm } from '../packer.ts';
import type { LayerId } from '../snapshotter.ts';
import type { OnMoved } from '../workers/job.ts';
import { Flights } from './flights.ts';
import { GrowingFile } from './growing.ts';
import type { LayerJobs, PackedBlob } from './jobs.ts';
import type { LayerTable } from './layers.ts';
import { missingLayer } from './missing.ts';
import { isUnpacked, type LayerRecord } from './sidecar.ts';

const MEDIA_TYPE: Record<Compression, string> = {
  uncompressed: MEDIA.ociLayer,
  gzip: MEDIA.ociLayerGzip,
  zstd: MEDIA.ociLayerZstd,
};

/** What counts the bytes of a blob that is being made. */
interface Counters {
  readonly written: BigInt64Array | undefined;
  readonly moved: OnMoved | undefined;
}

/** Makes blobs from the layers of a LayerTable. */
export class OverlayPacker implements LayerPacker {
  readonly #table: LayerTable;
  readonly #content: ContentStore;
  readonly #forms: BlobForms;
  readonly #jobs: LayerJobs;
  readonly #packing = new Flights<BlobForm>();

  constructor(table: LayerTable, content: ContentStore, forms: BlobForms, jobs: LayerJobs) {
    this.#table = table;
    this.#content = content;
    this.#forms = forms;
    this.#jobs = jobs;
  }

  async pack(
    layer: LayerId,
    wanted: WantedForm,
    signal?: AbortSignal,
    watcher?: PackWatcher,
  ): Promise<BlobForm> {
    const record = this.#record(layer);
    const variant = this.#jobs.variant(wanted);
    const there = this.#there(record, wanted, variant);
    if (there) return there;
    return this.#packing.run(`${layer} ${variant}`, signal, async (all) => {
      // The record is read again, because the maker of the blob may have ended since the look-up.
      const now = this.#record(layer);
      return this.#there(now, wanted, variant) ?? this.#make(now, wanted, variant, all, watcher);
    });
  }

  async pulled(layer: LayerId): Promise<BlobForm | undefined> {
    return this.#pulled(this.#record(layer));
  }

  created(layer: LayerId): number {
    return this.#record(layer).created;
  }

  #record(layer: LayerId): LayerRecord {
    const record = this.#table.get(layer);
    if (!record) throw missingLayer(layer);
    return record;
  }

  #pulled(record: LayerRecord): BlobForm | undefined {
    return (
      record.info && this.#forms.all(record.info.diffId).find((form) => form.variant === 'pulled')
    );
  }

  #there(record: LayerRecord, wanted: WantedForm, variant: string): BlobForm | undefined {
    if (!record.info) return undefined;
    const pulled = this.#pulled(record);
    if (pulled && (!wanted.force || pulled.compression === wanted.compression)) return pulled;
    return this.#forms.find(record.info.diffId, wanted.compression, variant);
  }

  async #make(
    record: LayerRecord,
    wanted: WantedForm,
    variant: string,
    signal: AbortSignal,
    watcher: PackWatcher | undefined,
  ): Promise<BlobForm> {
    using writer = this.#content.writer();
    const file =
      watcher?.growing && new GrowingFile(writer.path, (blob) => watcher.growing?.(blob));
    const total = record.info?.tarSize ?? 0;
    watcher?.moved?.(0, total);
    const moved = watcher?.moved && ((bytes: number) => watcher.moved?.(bytes, total));
    try {
      const form = await this.#write(record, wanted, variant, signal, writer, {
        written: file?.written,
        moved,
      });
      file?.complete(form.size);
      return form;
    } finally {
      file?.fail();
    }
  }

  async #write(
    record: LayerRecord,
    wanted: WantedForm,
    variant: string,
    signal: AbortSignal,
    writer: BlobWriter,
    { written, moved }: Counters,
  ): Promise<BlobForm> {
    const source = this.#pulled(record);
    const packed = source
      ? await this.#convert(record, source, writer.path, wanted, signal, { written, moved })
      : await this.#table.reading([record.id], () =>
          this.#jobs.pack(
            this.#table.source(record.id),
            writer.path,
            wanted,
            signal,
            written,
            moved,
          ),
        );
    if (record.info && packed.info.diffId !== record.info.diffId) {
      // The layer's files are not the recorded ones. It is dropped, so that the next build makes it
      // again.
      if (!isUnpacked(record.id)) this.#table.drop(record.id);
      throw changed(record, packed);
    }
    writer.adopt(packed.digest);
    if (!record.info) this.#table.describe(record.id, packed.info);
    const form: BlobForm = {
      diffId: packed.info.diffId,
      digest: packed.digest,
      size: packed.size,
      mediaType: MEDIA_TYPE[wanted.compression],
      compression: wanted.compression,
      variant,
    };
    this.#forms.record(form);
    return form;
  }

  /**
   * Converts the blob from which the layer was unpacked. If that blob is damaged, it is removed,
   * and the layer's own files are tried, which may give the same tar.
   */
  async #convert(
    record: LayerRecord,
    source: BlobForm,
    to: string,
    wanted: WantedForm,
    signal: AbortSignal,
    { written, moved }: Counters,
  ): Promise<PackedBlob> {
    const { digest, mediaType } = source;
    const convert = () =>
      this.#jobs.convert(this.#content.path(digest), mediaType, to, wanted, signal, written, moved);
    const packed = await convert().catch((error: unknown) => error);
    signal.throwIfAborted();
    if (!(packed instanceof Error) && (packed as PackedBlob).info.diffId === record.info?.diffId)
      return packed as PackedBlob;
    const damage = await this.#content.verify(source.digest).catch((error: unknown) => error);
    if (damage === undefined)
      throw packed instanceof Error ? packed : changed(record, packed as PackedBlob);
    rmSync(to, { force: true });
    const again = await this.#jobs.pack(this.#table.source(record.id), to, wanted, signal);
    if (again.info.diffId !== record.info?.diffId) throw damage;
    return again;
  }
}

/**
 * The error for a layer whose directory does not give its recorded tar. For a layer that was
 * unpacked from a blob, that is not damage.
 */
function changed(record: LayerRecord, packed: PackedBlob): KilnError {
  if (isUnpacked(record.id)) {
    return new KilnError(
      'KILN_BLOB_MISSING',
      `the blob of layer ${record.info?.diffId} is gone, and only its source has the same bytes`,
      {
        hint: 'pull or load the image again',
      },
    );
  }
  return new KilnError(
    'KILN_STORE_DAMAGED',
    `the files of layer ${record.id} have changed: they pack to ${packed.info.diffId} ` +
      `instead of ${record.info?.diffId}`,
    { hint: 'build the image again: the step that made it then runs again' },
  );
}
