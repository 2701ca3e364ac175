import type { Digest } from './digest.ts';

/**
 * The events that a build reports while it runs. Folders below the CLI only emit events; views only
 * consume them. The shapes follow BuildKit's SolveStatus (api/services/control), so that
 * `--progress=rawjson` is a plain mapping. Times are in milliseconds since 1970.
 */
export type ProgressEvent =
  | VertexEvent
  | StatusEvent
  | LogEvent
  | WarningEvent
  | MissEvent
  | GraphEvent
  | PhaseEvent
  | PlacedEvent;

/**
 * A vertex was announced, started, or ended. The latest event of a digest is the valid one. A field
 * that was once set stays set.
 */
export interface VertexEvent {
  readonly kind: 'vertex';
  readonly vertex: Digest;
  /**
   * The name that buildx prints, such as `[build 2/3] RUN make`. A name that starts with
   * `[internal]` stands for internal work.
   */
  readonly name: string;
  readonly inputs: readonly Digest[];
  readonly started?: number;
  readonly completed?: number;
  readonly cached?: boolean;
  /**
   * Set when the vertex failed. It is `cancelled` when the vertex stopped only because the build
   * ended.
   */
  readonly error?: string;
  readonly cancelled?: boolean;
  /** The resources that the vertex used, for the build record. */
  readonly usage?: {
    readonly cpuMs?: number;
    readonly peakMemory?: number | undefined;
    /** The emulator that ran the process, when one did. */
    readonly emulator?: string | undefined;
  };
}

/**
 * A countable part of a vertex, such as a layer being pulled or bytes being copied. `id` is unique
 * within the vertex.
 */
export interface StatusEvent {
  readonly kind: 'status';
  readonly vertex: Digest;
  readonly id: string;
  readonly name: string;
  readonly current: number;
  /** 0 when the total is not known. */
  readonly total: number;
  readonly timestamp: number;
  readonly started?: number;
  readonly completed?: number;
}

/** Output of a vertex: exactly the bytes it wrote. */
export interface LogEvent {
  readonly kind: 'log';
  readonly vertex: Digest;
  readonly stream: 1 | 2;
  readonly data: Uint8Array;
  readonly timestamp: number;
}

/**
 * A warning, with its place in the Dockerfile when it has one. It is shown after the build unless
 * it is urgent.
 */
export interface WarningEvent {
  readonly kind: 'warning';
  readonly vertex?: Digest;
  /** As a frontend has said; 1 when absent, as of all warnings of Dockerfiles. */
  readonly level?: number;
  readonly short: string;
  readonly detail: readonly string[];
  /** True when the warning concerns the work that follows and has to be shown before it starts. */
  readonly isUrgent?: boolean;
  readonly url?: string;
  readonly source?: {
    readonly name: string;
    readonly text: string;
    readonly startLine: number;
    readonly endLine: number;
  };
}

/**
 * The reason why a vertex was not cached. It is reported when the vertex starts to run, for
 * `--explain` and `kiln explain`.
 */
export interface MissEvent {
  readonly kind: 'miss';
  readonly vertex: Digest;
  readonly name: string;
  /** One sentence without a period, in words that a user of Kiln knows. */
  readonly reason: string;
  /** What its key was made of: the first parts, for the build record. */
  readonly parts?: readonly { readonly name: string; readonly value: string }[];
}

/** What the graph of a build tells of its vertices, for the build record. Views show none of it. */
export interface GraphEvent {
  readonly kind: 'graph';
  /** The Dockerfiles that the lines of these vertices are in. */
  readonly sources: readonly { readonly name: string; readonly text: string }[];
  readonly vertices: readonly GraphVertex[];
  /** The IDs of the secrets and ssh agents that its steps ask for. */
  readonly secrets: readonly string[];
  readonly ssh: readonly string[];
}

export interface GraphVertex {
  readonly vertex: Digest;
  /** The place of the instruction: the index of its source, the first line and the last one. */
  readonly lines?: readonly [source: number, start: number, end: number];
  /** What a source fetches, such as `docker-image://docker.io/library/alpine:3@sha256:…`. */
  readonly source?: string;
}

/** A vertex that runs goes on with another kind of work, for the build record. */
export interface PhaseEvent {
  readonly kind: 'phase';
  readonly vertex: Digest;
  readonly phase: 'fetching' | 'running' | 'committing';
  readonly timestamp: number;
}

/**
 * Another machine has taken a vertex, for the build record, `--explain` and provenance. The latest
 * event of a vertex counts: one without `worker` says that the vertex runs here after all.
 */
export interface PlacedEvent {
  readonly kind: 'placed';
  readonly vertex: Digest;
  readonly name: string;
  readonly worker?: string;
  /** Why it runs there, or why not: words such as `linux/arm64 would be emulated here`. */
  readonly reason: string;
}

/** Receives the events. It must not throw and must not block. */
export type ProgressSink = (event: ProgressEvent) => void;
