import { isAbsolute } from 'node:path';
import type { TreeFilter } from '../cache/contenthash.ts';
import { RemoteStack } from '../cache/remote/imported.ts';
import type { LayerId, Snapshot, Snapshotter } from '../snapshotter/snapshotter.ts';
import { type BringContext, Deferred } from './deferred.ts';
import type { ResultCodec } from './solver.ts';

/**
 * What a step of a build comes to: a file tree, either layers in the store or a directory of the
 * host as it is.
 */
export type BuildResult =
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }
  | DirectoryResult;

/**
 * A local directory. It is read where it lies; it can change at any time and means nothing to
 * another build.
 */
export interface DirectoryResult {
  readonly kind: 'directory';
  /** Absolute. */
  readonly root: string;
  /** What is not there as far as the build is concerned. */
  readonly filter?: TreeFilter;
  /** A name under which digests of its files are remembered between builds. */
  readonly memory?: string;
}

/**
 * Snapshots go into a record as their list of layers, and come back while every layer is in the
 * store. Layers of an imported record that are not in the store are a deferred result, which
 * `bring` brings.
 */
export function resultCodec(
  snapshotter: Pick<Snapshotter, 'has' | 'find'>,
  bring?: (stack: RemoteStack, context: BringContext) => Promise<Snapshot>,
): ResultCodec<BuildResult> {
  return {
    encode(result) {
      if (result.kind === 'directory') throw new Error('a local directory cannot be recorded');
      return { layers: result.snapshot.layers };
    },
    decode(value) {
      if (value instanceof RemoteStack) {
        const layers = value.layers.map(({ diffId }) => snapshotter.find(diffId));
        const here = layers.every((layer) => layer !== undefined) ? { layers } : undefined;
        // Asked for as a whole, so that no collection takes them any more.
        if (here && snapshotter.has(here)) return { kind: 'snapshot', snapshot: here };
        if (!bring) return undefined;
        return new Deferred(
          async (context) => ({ kind: 'snapshot', snapshot: await bring(value, context) }),
          value,
        );
      }
      const snapshot = snapshotOf(value);
      return snapshot && snapshotter.has(snapshot) ? { kind: 'snapshot', snapshot } : undefined;
    },
  };
}

/** The snapshot that a record holds for one output; undefined for anything else. */
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
