import type { Digest } from '../../base/digest.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';

/** A fault that was found in the store. */
export interface Problem {
  /** The fault in one sentence. */
  readonly what: string;
  /** The action of `--repair`, such as `the layer was removed`. */
  readonly repair: string;
  /**
   * Layers and blobs to be removed. They are removed by the protocol of the garbage collector, and
   * never while a process uses them.
   */
  readonly layer?: LayerId;
  readonly blob?: Digest;
  /**
   * False when the layer or blob is no longer the one that was checked. Builds go on during a
   * check, and one may have made a sound layer or blob of the same name since.
   */
  readonly still?: () => boolean;
  /** Any other action that repairs the fault. */
  readonly mend?: () => void;
}

/**
 * A layer whose bytes cannot be proven: its build was killed before it recorded a digest, or is
 * running.
 */
export interface UnprovenLayer {
  readonly layer: LayerId;
  /** False when a build has recorded the digest since the layer was checked. */
  readonly still: () => boolean;
}

/** The checked items and the faults found. */
export interface FsckReport {
  readonly problems: Problem[];
  /** The number of verified items of each kind: `blobs`, `layers`, … */
  readonly verified: Map<string, number>;
  /** A repair removes these layers. */
  readonly unproven: UnprovenLayer[];
}

/** Blobs and layers that are damaged now, for checks of items that depend on them. */
export function damagedIn({ problems, unproven }: FsckReport): {
  readonly blobs: ReadonlySet<Digest>;
  readonly layers: ReadonlySet<LayerId>;
} {
  const found = problems.filter(isUnchanged);
  return {
    blobs: new Set(found.flatMap(({ blob }) => blob ?? [])),
    layers: new Set(
      [...found, ...unproven.filter(isUnchanged)].flatMap(({ layer }) => layer ?? []),
    ),
  };
}

/** True while the thing that was found damaged is there, and is the same. */
export function isUnchanged({ still }: { readonly still?: () => boolean }): boolean {
  return still?.() ?? true;
}
