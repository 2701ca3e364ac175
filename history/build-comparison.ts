/** What is different between two builds, the first one being the older. Plain JSON. */
export interface BuildComparison {
  /** The form of this document. */
  readonly version: 1;
  readonly from: ComparedBuild;
  readonly to: ComparedBuild;
  /** In the order of the newer build; those that only the older one has come last. */
  readonly steps: readonly StepComparison[];
  /** Parts of the request that are different. */
  readonly request: readonly {
    readonly field: string;
    readonly from?: string;
    readonly to?: string;
  }[];
}

export interface ComparedBuild {
  readonly id: string;
  readonly name: string;
  /** In milliseconds. Undefined while it runs. */
  readonly duration?: number;
  readonly steps: number;
  readonly cached: number;
}

export interface StepComparison {
  readonly name: string;
  readonly from?: ComparedStep;
  readonly to?: ComparedStep;
  /** By how many milliseconds the step takes longer. Undefined when one build does not have it. */
  readonly longer?: number;
  /** True when the instruction is another one at the same place. */
  readonly isRewritten: boolean;
}

export interface ComparedStep {
  /** The index in `BuildView.steps`. */
  readonly step: number;
  readonly name: string;
  readonly isCached: boolean;
  /** In milliseconds. */
  readonly duration: number;
  readonly miss?: string;
}
