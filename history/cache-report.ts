/** How well the cache served the last builds, and what takes room in the store. Plain JSON. */
export interface CacheReport {
  /** The form of this document. */
  readonly version: 1;
  /** How many builds were looked at, and when the first of them began. */
  readonly builds: number;
  readonly since?: number;
  /** How many steps of Dockerfiles these builds had, and how many of them were cached. */
  readonly steps: number;
  readonly cached: number;
  /** Steps that were not cached at least once, those that cost most first. */
  readonly misses: readonly StepMisses[];
  readonly store: StoreReport;
}

/** A step of several builds. */
export interface StepMisses {
  /** As buildx prints it in the latest build, such as `[build 2/3] RUN make`. */
  readonly name: string;
  /** The name of the latest build that has it. */
  readonly build: string;
  readonly lines?: { readonly file: string; readonly start: number; readonly end: number };
  /** In how many of the builds the step was, and in how many it was not cached. */
  readonly seen: number;
  readonly missed: number;
  /** Milliseconds that it ran in all of them. */
  readonly cost: number;
  /** By how much these builds would have been shorter, had it been cached, in milliseconds. */
  readonly wouldSave: number;
  /** The reasons, the most frequent first. */
  readonly reasons: readonly { readonly text: string; readonly count: number }[];
  /** The builds in which it was not cached, the latest first. */
  readonly missedIn: readonly string[];
}

/** As `kiln du` and `kiln prune --dry-run` know it. */
export interface StoreReport {
  readonly bytes: number;
  readonly reclaimable: number;
  /** Shared with images. */
  readonly shared: number;
  /** The bytes by type of item, the largest first. */
  readonly types: readonly {
    readonly type: string;
    readonly items: number;
    readonly bytes: number;
  }[];
  /** The largest items, the largest first. */
  readonly largest: readonly StoreItem[];
  /** How many items there are. */
  readonly items: number;
  readonly prunes: {
    /** What the next collection after a build removes. */
    readonly automatic: PrunePreview;
    /** What `kiln prune` removes. */
    readonly command: PrunePreview;
  };
}

export interface PrunePreview {
  readonly bytes: number;
  readonly items: number;
  readonly largest: readonly (StoreItem & { readonly reason: string })[];
}

export interface StoreItem {
  readonly id: string;
  readonly type: string;
  readonly description: string;
  readonly bytes: number;
  readonly created: number;
  readonly used: number;
  readonly isReclaimable: boolean;
  readonly isInUse: boolean;
  readonly isShared: boolean;
}
