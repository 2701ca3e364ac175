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
  /** Any other action that repairs the fault. */
  readonly mend?: () => void;
}

/** The checked items and the faults found. */
export interface FsckReport {
  readonly problems: Problem[];
  /** The number of verified items of each kind: `blobs`, `layers`, … */
  readonly verified: Map<string, number>;
  /**
   * Layers whose bytes cannot be proven: their build was killed before it recorded a digest. A
   * repair removes them.
   */
  readonly unproven: LayerId[];
}

/** Damaged blobs and layers, for checks of items that depend on them. */
export function damagedIn({ problems, unproven }: FsckReport): {
  readonly blobs: ReadonlySet<Digest>;
  readonly layers: ReadonlySet<LayerId>;
} {
  return {
    blobs: new Set(problems.flatMap(({ blob }) => blob ?? [])),
    layers: new Set([...problems.flatMap(({ layer }) => layer ?? []), ...unproven]),
  };
}
