import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, digestOf } from '../../base/digest.ts';
import { type Descriptor, MEDIA } from '../../base/oci.ts';
import { attempt, reading } from '../../base/oserror.ts';
import type { BuildHistory } from './build-history.ts';
import type { BuildRecord } from './build-record.ts';
import { recordJson } from './bundle-record.ts';

/** How clients call what is in a file of records. */
export const RECORD_TYPE = 'application/vnd.buildkit.historyrecord.v0';
/** The record as it is in a store of Kiln. Others leave it out. */
export const KILN_RECORD_TYPE = 'application/vnd.kiln.buildrecord.v1+jsonl';
/** The annotation with the type of a document that readers of layouts would walk into. */
export const REAL_TYPE = 'vnd.export-build.descriptor.mediatype';
const REFERENCE = 'vnd.buildkit.history.reference';

/** The blobs of an OCI layout, and the only entry of its index. */
export interface Bundle {
  readonly target: Descriptor;
  readonly blobs: ReadonlyMap<Digest, Uint8Array>;
}

/**
 * Makes the layout in which buildx exports records of builds, and which Docker Desktop opens: a
 * manifest for each record, with the record as its config and its documents as layers. `directory`
 * has the logs. `platform` is that of the host. Several records are in an index. Throws
 * KILN_FILE_UNREADABLE.
 */
export function bundleOf(
  history: BuildHistory,
  records: readonly BuildRecord[],
  directory: string,
  platform: string,
): Bundle {
  const blobs = new Map<Digest, Uint8Array>();
  const add = (mediaType: string, bytes: Uint8Array, annotations?: Record<string, string>) => {
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.byteLength, ...(annotations && { annotations }) };
  };
  const json = (mediaType: string, document: object) =>
    add(mediaType, Buffer.from(JSON.stringify(document, undefined, 2)));
  const manifests = records.map((record) => {
    const config = json(RECORD_TYPE, {
      ...recordJson(record, history),
      DefaultPlatform: platform,
    });
    const own = join(directory, `${record.id}.jsonl`);
    const text = attempt(reading('the record of the build', own), () => readFileSync(own));
    const layers = [
      ...documentsOf(record).flatMap(({ mediaType, digest, annotations }) => {
        const path = history.blob(digest);
        return path === undefined
          ? []
          : [add(mediaType, readFileSync(path), annotations as Record<string, string>)];
      }),
      add(KILN_RECORD_TYPE, text),
    ];
    const manifest = { schemaVersion: 2, mediaType: MEDIA.ociManifest, config, layers };
    return { ...json(MEDIA.ociManifest, manifest), annotations: { [REFERENCE]: record.ref } };
  });
  const [only, ...more] = manifests;
  if (only && more.length === 0) {
    const { annotations: _, ...target } = only;
    return { target, blobs };
  }
  const index = { schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests };
  return { target: json(MEDIA.ociIndex, index), blobs };
}

/** The documents of a record, each once. Those of images are no images for who reads layouts. */
function documentsOf({ documents, result }: BuildRecord): readonly Descriptor[] {
  const { trace, logs, error } = documents;
  const images = Object.values(result?.images ?? {}).map((image) => ({
    ...image,
    mediaType: 'application/json',
    annotations: { ...image.annotations, [REAL_TYPE]: image.mediaType },
  }));
  const all = [
    ...[trace, logs, error].flatMap((document) => document ?? []),
    ...(result?.attestations ?? []).map(({ descriptor }) => descriptor),
    ...images,
  ];
  return [...new Map(all.map((document) => [document.digest, document])).values()];
}
