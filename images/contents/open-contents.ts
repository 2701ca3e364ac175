import { KilnError } from '../../base/errors.ts';
import { osError } from '../../base/oserror.ts';
import type { Platform } from '../../base/platform.ts';
import type { Engine } from '../../builder/engine.ts';
import type { StoredImage } from '../../snapshotter/images.ts';
import type { ScratchDir } from '../../snapshotter/store/scratch.ts';
import { isUntagged, shownName } from '../find-image.ts';
import { type ReadImage, readImage } from '../read.ts';
import { type Sizes, sizesOfLayers } from '../sizes.ts';
import type { TransferReport } from '../transfer-report.ts';
import { LayeredTree } from './layered-tree.ts';
import { ViewCache } from './layers-view.ts';
import { type LayerSource, readLayer } from './read-layer.ts';

/** An image whose layers have been read, to be asked what is in it. It holds nothing open. */
export interface OpenContents {
  readonly name: string | undefined;
  readonly image: ReadImage;
  readonly sizes: readonly Sizes[];
  readonly tree: LayeredTree;
  /** Where the files of each layer are, to read them again. */
  readonly sources: readonly LayerSource[];
  /** By layer: why it could not be read. */
  readonly unreadable: readonly (LayerFault | undefined)[];
  readonly views: ViewCache;
  /** Gives an empty directory, for what can only be read as a file. */
  readonly scratch: (label: string) => ScratchDir;
}

export interface LayerFault {
  readonly code: string;
  readonly text: string;
}

export interface OpenContentsOptions {
  /** The host's by default. */
  readonly platform?: Platform | undefined;
  readonly signal: AbortSignal;
  /** Told of layers that are read from their blobs, in packed bytes. */
  readonly report?: TransferReport | undefined;
}

type Services = Pick<Engine, 'content' | 'snapshotter' | 'forms' | 'store'>;

/**
 * Reads which files the layers of an image have: of a layer that is unpacked in the store from
 * there, of another one from its blob. The content of files is not read. A layer that is missing or
 * damaged is told as such, and the others are read all the same. Throws KILN_PLATFORM_MISSING, and
 * errors of the image's documents.
 *
 * The caller holds a use of the store (`Engine.begin`) for as long as it asks about content.
 */
export async function openContents(
  engine: Services,
  stored: Pick<StoredImage, 'name' | 'target'>,
  { platform, signal, report }: OpenContentsOptions,
): Promise<OpenContents> {
  const image = readImage(engine.content, stored.target, platform);
  const sizes = await sizesOfLayers(engine, image);
  const tree = new LayeredTree();
  const sources = sourcesOf(engine, image);
  const unreadable: (LayerFault | undefined)[] = [];
  for (const [at, source] of sources.entries()) {
    const { digest, size } = image.manifest.layers[at]!;
    let read = 0;
    const moved = (bytes: number) => {
      read += bytes;
      report?.({ id: digest, name: digest, current: Math.min(read, size), total: size });
    };
    tree.begin();
    try {
      if (source.kind === 'missing') throw missingLayer(digest);
      await readLayer(tree, source, signal, moved);
      tree.end();
      unreadable.push(undefined);
    } catch (error) {
      signal.throwIfAborted();
      tree.abandon();
      unreadable.push(faultOf(error));
    }
  }
  return {
    name: isUntagged(stored.name) ? undefined : shownName(stored.name),
    image,
    sizes,
    tree,
    sources,
    unreadable,
    views: new ViewCache(tree),
    scratch: (label) => engine.store.scratch(label),
  };
}

function sourcesOf({ content, snapshotter }: Services, image: ReadImage): LayerSource[] {
  const diffIds = image.config.rootfs?.diff_ids ?? [];
  return image.manifest.layers.map(({ digest }, at): LayerSource => {
    const diffId = diffIds[at];
    const layer = diffId === undefined ? undefined : snapshotter.find(diffId);
    const directories = layer === undefined ? [] : snapshotter.directories(layer);
    if (directories.length > 0) return { kind: 'directories', directories };
    return content.size(digest) === undefined
      ? { kind: 'missing' }
      : { kind: 'blob', blob: content.path(digest) };
  });
}

function missingLayer(digest: string): KilnError {
  return new KilnError('KILN_BLOB_MISSING', `the store does not have the layer ${digest}`);
}

/** Anything but a fault of the layer or of the disk is thrown. */
function faultOf(error: unknown): LayerFault {
  const told =
    error instanceof KilnError
      ? error
      : osError(error, { code: 'KILN_FILE_UNREADABLE', what: 'the layer cannot be read' });
  if (!(told instanceof KilnError)) throw error;
  return { code: told.code, text: told.message };
}
