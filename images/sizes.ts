import type { Descriptor } from '../base/oci.ts';
import type { Engine } from '../builder/engine.ts';
import type { ReadImage } from './read.ts';

/** The size of an image or of a layer in bytes. Undefined where the store does not know it. */
export interface Sizes {
  /** All its files as a tar without compression. It is known once a layer has been unpacked. */
  readonly unpacked: number | undefined;
  /** As it is sent to a registry. It is known once a layer was pulled, pushed or packed. */
  readonly compressed: number | undefined;
}

type SizeSources = Pick<Engine, 'snapshotter' | 'forms'>;

/** The sizes of each layer of an image, the lowest first. Reads only what the index says. */
export async function sizesOfLayers(
  engine: SizeSources,
  { manifest, config }: Pick<ReadImage, 'manifest' | 'config'>,
): Promise<readonly Sizes[]> {
  const diffIds = config.rootfs?.diff_ids ?? [];
  return await Promise.all(
    manifest.layers.map((layer, index) => sizesOf(engine, layer, diffIds[index])),
  );
}

/** The sum. A part that is not known makes the sum unknown. */
export function totalSizes(layers: readonly Sizes[]): Sizes {
  const sum = (of: (sizes: Sizes) => number | undefined) =>
    layers.reduce<number | undefined>((total, sizes) => {
      const size = of(sizes);
      return total === undefined || size === undefined ? undefined : total + size;
    }, 0);
  return { unpacked: sum(({ unpacked }) => unpacked), compressed: sum((one) => one.compressed) };
}

async function sizesOf(
  { snapshotter, forms }: SizeSources,
  { digest, size }: Descriptor,
  diffId: Descriptor['digest'] | undefined,
): Promise<Sizes> {
  const isUnpacked = digest === diffId;
  if (diffId === undefined) return { unpacked: undefined, compressed: size };
  const stored = forms.all(diffId);
  const packed = stored.find(({ compression }) => compression !== 'uncompressed')?.size;
  const compressed = isUnpacked ? packed : size;
  if (isUnpacked) return { unpacked: size, compressed };
  const tar = stored.find(({ compression }) => compression === 'uncompressed')?.size;
  const layer = tar === undefined ? snapshotter.find(diffId) : undefined;
  const described = layer && (await snapshotter.describe(layer));
  return { unpacked: tar ?? described?.tarSize, compressed };
}
