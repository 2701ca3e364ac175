import type { Digest } from '../../base/digest.ts';
import type { ImageConfig, Manifest } from '../../base/oci.ts';
import { parseCacheConfig, recordedTime, type WireRecord } from './config.ts';
import { INLINE_FIELD, outputName, type RemoteLayer, type RemoteRecord } from './record.ts';

/**
 * A record whose outputs are stacks of the image's layers. Each layer is given by its position from
 * the bottom.
 */
export interface InlineRecord {
  readonly key: Digest;
  readonly aliases: readonly Digest[];
  /** Undefined for one that is not in the image. */
  readonly outputs: readonly (readonly number[] | undefined)[];
  readonly created: number;
}

/** The value of INLINE_FIELD. */
export function inlineCache(records: readonly InlineRecord[]): string {
  const ordered = [...records].sort((a, b) => (a.key < b.key ? -1 : 1));
  const wires: WireRecord[] = ordered.map((record) => ({
    ...result(record, 0),
    digest: record.key,
  }));
  ordered.forEach((record, link) => {
    for (let index = 1; index < record.outputs.length; index++)
      if (record.outputs[index])
        wires.push({
          ...result(record, index),
          digest: outputName(record.key, index),
          inputs: [[{ link }]],
        });
    for (const alias of record.aliases) wires.push({ digest: alias, inputs: [[{ link }]] });
  });
  return Buffer.from(JSON.stringify(wires)).toString('base64');
}

/**
 * A stack that starts at the bottom of the image is the chain of a layer. Any other stack is listed
 * layer by layer, such as that of a COPY --link.
 */
function result(
  { outputs, created }: InlineRecord,
  index: number,
): Pick<WireRecord, 'layers' | 'chains'> {
  const positions = outputs[index];
  if (!positions) return {};
  const createdAt = new Date(created).toISOString();
  return positions.every((position, at) => position === at)
    ? { layers: [{ layer: positions.length - 1, createdAt }] }
    : { chains: [{ layers: positions, createdAt }] };
}

/**
 * The records in an image's config; an empty list when it has no such field. Throws
 * KILN_CACHE_MALFORMED.
 */
export function parseInline(
  config: ImageConfig,
  manifest: Manifest,
  where: string,
): RemoteRecord[] {
  const field = config[INLINE_FIELD];
  const diffIds = config.rootfs?.diff_ids ?? [];
  if (typeof field !== 'string' || diffIds.length !== manifest.layers.length) return [];
  const times = layerTimes(config);
  const layers = manifest.layers.map(
    (descriptor, index): RemoteLayer => ({
      descriptor,
      diffId: diffIds[index]!,
      created: times.length === diffIds.length ? times[index]! : 0,
      windows: config.os === 'windows',
    }),
  );
  let records: unknown;
  try {
    records = JSON.parse(Buffer.from(field, 'base64').toString());
  } catch {
    records = field;
  }
  const described = layers.map(({ descriptor, diffId, created, windows }, index) => ({
    blob: descriptor.digest,
    parent: index - 1,
    annotations: {
      mediaType: descriptor.mediaType,
      size: descriptor.size,
      diffID: diffId,
      createdAt: new Date(created).toISOString(),
      ...(windows && { os: 'windows' }),
    },
  }));
  return parseCacheConfig({ layers: described, records }, new Map(), where);
}

/** When each layer was made, as the history of the image says. An image is then the same again. */
function layerTimes({ history = [] }: ImageConfig): number[] {
  return history.filter((entry) => !entry.empty_layer).map(({ created }) => recordedTime(created));
}
