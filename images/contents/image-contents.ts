import type { ImageConfig } from '../../base/oci.ts';
import { formatPlatform } from '../../base/platform.ts';
import { totalSizes } from '../sizes.ts';
import type {
  ChangeCount,
  HistoryLine,
  ImageContents,
  LayerContents,
  WastedPath,
} from './contents.ts';
import { isDirectoryIn } from './directory.ts';
import { largestOf } from './largest.ts';
import { type LayeredTree, TOP, TYPE } from './layered-tree.ts';
import { CHANGE } from './layers-view.ts';
import type { OpenContents } from './open-contents.ts';
import { diveScore, type Waste, wastedPaths, wasteOf } from './waste.ts';

const USUAL_PATHS = 100;
const MOST_PATHS = 10_000;

/**
 * What there is to say about an image as a whole. `paths` limits the lists of wasted paths and of
 * large directories; it is 100 by default.
 */
export function imageContents(
  contents: OpenContents,
  { paths = USUAL_PATHS }: { readonly paths?: number } = {},
): ImageContents {
  const { tree, image, name } = contents;
  const { config, manifest, descriptor } = image;
  const count = Math.max(0, Math.min(MOST_PATHS, paths));
  const view = contents.views.get({});
  const waste = wasteOf(tree);
  const history = historyLines(config, manifest.layers.length);
  const layers = layerContents(contents, waste, history);
  const above = layers.slice(1).reduce((sum, { bytes }) => sum + bytes, 0);
  const { compressed } = totalSizes(contents.sizes);
  const created = timeOf(config.created);
  const directories = largestOf(
    view.bytes,
    count,
    (node) =>
      node !== TOP && view.change[node] !== CHANGE.absent && isDirectoryIn(tree, view, node),
  );
  return {
    version: 1,
    ...(name !== undefined && { name }),
    digest: descriptor.digest,
    config: manifest.config.digest,
    platform: formatPlatform(config),
    ...(created !== undefined && { created }),
    layers,
    history,
    files: {
      files: view.files,
      directories: view.directories,
      bytes: view.bytes[TOP]!,
    },
    bytes: layers.reduce((sum, { bytes }) => sum + bytes, 0),
    ...(compressed !== undefined && { compressed }),
    wasted: {
      bytes: waste.bytes,
      share: above === 0 ? 0 : waste.bytes / above,
      paths: waste.paths,
      largest: wastedPaths(tree, waste, count),
    },
    efficiency: diveScore(tree).efficiency,
    largest: directories.map((node) => ({ path: tree.pathOf(node), bytes: view.bytes[node]! })),
  };
}

/** The paths that waste most bytes, the largest first, beginning with the one at `offset`. */
export function wastedFiles(
  { tree }: OpenContents,
  { offset, limit }: { readonly offset: number; readonly limit: number },
): { readonly total: number; readonly paths: readonly WastedPath[] } {
  const waste = wasteOf(tree);
  const end = Math.min(MOST_PATHS, Math.max(0, offset) + Math.max(0, limit));
  return {
    total: waste.paths,
    paths: wastedPaths(tree, waste, end).slice(Math.max(0, offset)),
  };
}

function layerContents(
  { tree, image, sizes, unreadable }: OpenContents,
  waste: Waste,
  history: readonly HistoryLine[],
): LayerContents[] {
  const diffIds = image.config.rootfs?.diff_ids ?? [];
  return image.manifest.layers.map(({ digest, mediaType }, layer): LayerContents => {
    const { compressed, unpacked } = sizes[layer] ?? {};
    const line = history.findIndex((each) => each.layer === layer);
    const fault = unreadable[layer];
    return {
      diffId: diffIds[layer] ?? digest,
      digest,
      mediaType,
      ...(compressed !== undefined && { compressed }),
      ...(unpacked !== undefined && { unpacked }),
      ...(line >= 0 && { history: line }),
      ...changesOf(tree, layer),
      wasted: waste.byLayer[layer]!,
      ...(fault && { unreadable: fault }),
    };
  });
}

function changesOf(
  tree: LayeredTree,
  layer: number,
): Pick<LayerContents, 'bytes' | 'added' | 'changed' | 'removed'> {
  const added = { files: 0, bytes: 0 };
  const changed = { files: 0, bytes: 0 };
  const removed = { files: 0, bytes: 0 };
  const count = (kind: { -readonly [key in keyof ChangeCount]: number }, entry: number) => {
    kind.files++;
    kind.bytes += tree.sizeOf(entry);
  };
  const [start, end] = tree.entriesOf(layer);
  for (let entry = start; entry < end; entry++) {
    const below = tree.previousOf(entry);
    const type = tree.typeOf(entry);
    const was = tree.isThere(below);
    if (was && (type === TYPE.gone || type === TYPE.directory)) {
      if (tree.typeOf(below) !== TYPE.directory) count(removed, below);
    } else if (type !== TYPE.gone && type !== TYPE.directory) count(was ? changed : added, entry);
  }
  return { bytes: added.bytes + changed.bytes, added, changed, removed };
}

/** The lines of the history with the layers that they made, which are in the same order. */
function historyLines({ history = [] }: ImageConfig, layers: number): HistoryLine[] {
  let layer = 0;
  return history.map((entry) => {
    const created = timeOf(entry.created);
    const makes = entry.empty_layer !== true && layer < layers;
    return {
      ...(created !== undefined && { created }),
      createdBy: entry.created_by ?? '',
      ...(entry.comment ? { comment: entry.comment } : {}),
      ...(makes && { layer: layer++ }),
    };
  });
}

function timeOf(text: string | undefined): number | undefined {
  const time = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}
