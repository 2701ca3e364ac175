import { isAbsolute } from 'node:path';
import type { Tree, TreeFilter } from '../cache/contenthash.ts';
import { RemoteStack, storedLayer } from '../cache/remote/imported.ts';
import type { LayerId, Snapshot, Snapshotter } from '../snapshotter/snapshotter.ts';
import { Deferred, type DownloadContext } from './deferred.ts';
import type { ResultCodec } from './solver.ts';

/**
 * The result of a step: a file tree. It is either a stack of layers in the store, or a directory of
 * the host that is read in place.
 */
export type BuildResult =
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }
  | DirectoryResult;

/**
 * A local directory. It is read in place and not copied. It can change at any time, so its result
 * is never cached.
 */
export interface DirectoryResult {
  readonly kind: 'directory';
  /** How many bytes were brought here for it. Undefined when it is read in its place. */
  readonly received?: number | undefined;
  /** An absolute path. */
  readonly root: string;
  /** Files that the build does not see (`.dockerignore`). */
  readonly filter?: TreeFilter;
  /** The name under which digests of its files are kept from build to build. */
  readonly memory?: string;
  /** See `Tree.version`. */
  readonly version?: string | undefined;
  /** See `Tree.looks`. */
  readonly looks?: Tree['looks'];
  /** Called with the files of each selection that a step reads. */
  readonly onRead?: Tree['onRead'];
  /** See `Tree.onHashing`. */
  readonly onHashing?: Tree['onHashing'];
  /** See `Tree.onLook`. */
  readonly onLook?: Tree['onLook'];
}

/**
 * How results are written to records and read back. A snapshot is recorded as its list of layers.
 * It decodes to a snapshot if all layers are in the store, otherwise to undefined. A stack of an
 * imported cache whose layers are not all in the store decodes to a deferred result that calls
 * `download`; without `download`, to undefined.
 */
export function resultCodec(
  snapshotter: Pick<Snapshotter, 'has' | 'find' | 'windowsFiles'>,
  download?: (stack: RemoteStack, context: DownloadContext) => Promise<Snapshot>,
): ResultCodec<BuildResult> {
  return {
    encode(result) {
      if (result.kind === 'directory') throw new Error('a local directory cannot be recorded');
      return { layers: result.snapshot.layers };
    },
    decode(value) {
      if (value instanceof RemoteStack) {
        const layers = value.layers.map((layer) => storedLayer(layer, snapshotter));
        const here = layers.every((layer) => layer !== undefined) ? { layers } : undefined;
        // `has` of the whole stack also protects its layers from being pruned during this build.
        if (here && snapshotter.has(here)) return { kind: 'snapshot', snapshot: here };
        if (!download) return undefined;
        return new Deferred(
          async (context) => ({ kind: 'snapshot', snapshot: await download(value, context) }),
          value,
        );
      }
      const snapshot = snapshotOf(value);
      return snapshot && snapshotter.has(snapshot) ? { kind: 'snapshot', snapshot } : undefined;
    },
  };
}

/** The snapshot that a record holds for one output. Undefined if the value is not a valid one. */
export function snapshotOf(value: unknown): Snapshot | undefined {
  if (
    typeof value !== 'object' ||
    value === null ||
    !('layers' in value) ||
    !Array.isArray(value.layers)
  )
    return undefined;
  const layers: unknown[] = value.layers;
  if (!layers.every((layer) => typeof layer === 'string' && layer !== '' && !isAbsolute(layer)))
    return undefined;
  return { layers: layers as LayerId[] };
}
