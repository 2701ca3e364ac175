import type { Digest } from '../base/digest.ts';

/**
 * # What is known of a build
 *
 * A `BuildView` is made from the log of a build (`builder/history/build-log.ts`), while it runs or
 * afterwards. Lists, the page, traces and summaries for CI are made from it, so that nothing is
 * measured or derived twice. It is plain JSON. Times are in milliseconds since 1970, durations in
 * milliseconds, sizes in bytes. Every text in it is hostile: it came out of a Dockerfile, an image
 * or a step.
 */
export interface BuildView {
  /** The form of this document. */
  readonly version: 1;
  readonly id: string;
  /** The name that its client gave it, or else its ID. */
  readonly ref: string;
  /** What a person calls the build: its first tag, or else its context. */
  readonly name: string;
  /** `lost` means that the process of the build was killed before it could write how it ended. */
  readonly state: 'running' | 'completed' | 'failed' | 'cancelled' | 'lost';
  /** What of the record could not be read. Undefined when all of it could. */
  readonly damage?: string;
  readonly started: number;
  readonly ended?: number;
  readonly request: RequestView;
  readonly git?: GitView;
  /** The Dockerfiles whose lines the steps name. */
  readonly sources: readonly { readonly name: string; readonly text: string }[];
  readonly stages: readonly StageView[];
  /** In the order in which the build announced them. Other parts name a step by its index. */
  readonly steps: readonly StepView[];
  /** Indexes of the steps that decided how long the build took, first to last. */
  readonly criticalPath: readonly number[];
  readonly warnings: readonly WarningView[];
  /** What the build was made from, such as `docker-image://docker.io/library/alpine:3`. */
  readonly materials: readonly { readonly uri: string; readonly digest?: Digest }[];
  readonly error?: ErrorView;
  readonly outputs: readonly OutputView[];
  readonly counts: {
    /** Steps of the Dockerfile; internal ones are not counted. */
    readonly steps: number;
    readonly completed: number;
    readonly cached: number;
    readonly failed: number;
    readonly warnings: number;
  };
}

export interface RequestView {
  readonly context?: string;
  /** The directory of the context on this host. */
  readonly directory?: string;
  readonly dockerfile?: string;
  readonly target?: string;
  readonly frontend?: string;
  readonly platforms: readonly string[];
  readonly tags: readonly string[];
  readonly buildArgs: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly namedContexts: Readonly<Record<string, string>>;
  /** Names only. */
  readonly secrets: readonly string[];
  /** Names only. */
  readonly ssh: readonly string[];
  readonly cacheFrom: readonly string[];
  readonly cacheTo: readonly string[];
  readonly outputs: readonly string[];
  /** How the build was asked for: by the command line, BuildKit's API, or Docker's. */
  readonly door: 'cli' | 'buildkit' | 'docker' | 'library';
}

export interface GitView {
  readonly remote?: string;
  readonly commit?: string;
  readonly branch?: string;
  readonly isDirty?: boolean;
}

export interface StageView {
  readonly name: string;
  /** Undefined when the build has one platform. */
  readonly platform?: string;
}

export interface StepView {
  readonly vertex: Digest;
  /** As buildx prints it, such as `[build 2/3] RUN make`. */
  readonly name: string;
  /** The index in `BuildView.stages`. Undefined for steps that belong to none. */
  readonly stage?: number;
  readonly isInternal: boolean;
  /** The lines of the instruction, counted from 1. `source` is an index in `BuildView.sources`. */
  readonly lines?: { readonly source: number; readonly start: number; readonly end: number };
  /** Indexes of the steps that this one needs. */
  readonly inputs: readonly number[];
  readonly state: 'waiting' | 'running' | 'cached' | 'done' | 'failed' | 'cancelled';
  readonly isEmulated: boolean;
  /** The machine that ran it, and why, when that was another one. */
  readonly worker?: { readonly name: string; readonly reason: string };
  readonly started?: number;
  readonly ended?: number;
  /** What passed between the first and the last moment of the step, in order, without overlap. */
  readonly phases: readonly PhaseView[];
  /** Why the step was not cached: one sentence without a period, in the user's words. */
  readonly miss?: string;
  /** The parts that its cache key was made of. Absent when they are not known. */
  readonly key?: readonly { readonly name: string; readonly value: string }[];
  /** By how much the build would have been shorter, had this step been cached. */
  readonly wouldSave: number;
  readonly cpu?: number;
  /** The largest memory of the step, in bytes. */
  readonly peakMemory?: number;
  readonly transfers: readonly TransferView[];
  readonly log: { readonly lines: number; readonly bytes: number };
  readonly error?: string;
}

export interface PhaseView {
  /**
   * - `waiting`: its inputs are there, and it waits for a free place
   * - `fetching`: downloads or reads what it needs
   * - `running`: its process runs, or its files are copied
   * - `committing`: its result is made into a layer and recorded
   */
  readonly kind: 'waiting' | 'fetching' | 'running' | 'committing';
  readonly from: number;
  /** Undefined while the phase lasts. */
  readonly to?: number;
}

export interface TransferView {
  readonly name: string;
  readonly current: number;
  /** 0 when it is not known. */
  readonly total: number;
  readonly started?: number;
  readonly ended?: number;
}

export interface WarningView {
  readonly short: string;
  readonly detail: readonly string[];
  readonly url?: string;
  readonly step?: number;
  readonly lines?: { readonly source: number; readonly start: number; readonly end: number };
}

export interface ErrorView {
  readonly code?: string;
  readonly text: string;
  readonly hint?: string;
  /** The step that failed. */
  readonly step?: number;
  readonly lines?: { readonly source: number; readonly start: number; readonly end: number };
}

export interface OutputView {
  /** Undefined when the output has one platform, or is an index. */
  readonly platform?: string;
  readonly type: string;
  readonly digest?: Digest;
  readonly names: readonly string[];
  readonly size?: number;
}

/** A line that a step wrote. Logs are asked for by range and are not a part of a `BuildView`. */
export interface LogLine {
  readonly step: number;
  readonly time: number;
  readonly stream: 1 | 2;
  /** Without the line's end. Bytes that are no UTF-8 are replaced. May hold colours (SGR). */
  readonly text: string;
}
