import type { Digest } from '../../base/digest.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';

/** Something in the store that is not as it should be. */
export interface Problem {
  /** What is wrong, one sentence. */
  readonly what: string;
  /** What `--repair` does about it, such as `the layer was removed`. */
  readonly repair: string;
  /** Layers and blobs that have to go: removed by the collector's protocol, and not while a process uses them. */
  readonly layer?: LayerId;
  readonly blob?: Digest;
  /** Anything else that mends it. */
  readonly mend?: () => void;
}

/** What was looked at and found. */
export interface FsckReport {
  readonly problems: Problem[];
  /** How many of each kind were verified: `blobs`, `layers`, … */
  readonly verified: Map<string, number>;
  /** Layers whose bytes nothing here can prove: a build that was killed never said what they are. They go with a repair. */
  readonly unproven: LayerId[];
}

/** Blobs and layers that were found to be damaged, for whoever would rest on them. */
export function damagedIn({ problems, unproven }: FsckReport): {
  readonly blobs: ReadonlySet<Digest>;
  readonly layers: ReadonlySet<LayerId>;
} {
  return {
    blobs: new Set(problems.flatMap(({ blob }) => blob ?? [])),
    layers: new Set([...problems.flatMap(({ layer }) => layer ?? []), ...unproven]),
  };
}
