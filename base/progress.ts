import type { Digest } from './digest.ts';

/**
 * What a build tells while it runs. Rooms below the CLI only emit; views only consume. The shapes follow BuildKit's
 * SolveStatus (api/services/control), so that `--progress=rawjson` is a plain mapping. Times are milliseconds since 1970.
 */
export type ProgressEvent = VertexEvent | StatusEvent | LogEvent | WarningEvent | MissEvent;

/** A vertex was announced, started, or ended. The latest event of a digest wins; fields once set stay set. */
export interface VertexEvent {
  readonly kind: 'vertex';
  readonly vertex: Digest;
  /** What buildx prints, such as `[build 2/3] RUN make`. Names in square brackets with `internal` are housekeeping. */
  readonly name: string;
  readonly inputs: readonly Digest[];
  readonly started?: number;
  readonly completed?: number;
  readonly cached?: boolean;
  /** Set when the vertex failed; `cancelled` when only because the build ended. */
  readonly error?: string;
  readonly cancelled?: boolean;
  /** What it cost, for the build record. */
  readonly usage?: { readonly cpuMs?: number; readonly peakMemory?: number | undefined };
}

/** A countable part of a vertex: a layer being pulled, bytes being copied. `id` is unique within the vertex. */
export interface StatusEvent {
  readonly kind: 'status';
  readonly vertex: Digest;
  readonly id: string;
  readonly name: string;
  readonly current: number;
  /** 0 when not known. */
  readonly total: number;
  readonly timestamp: number;
  readonly started?: number;
  readonly completed?: number;
}

/** Output of a vertex, exactly the bytes it wrote. */
export interface LogEvent {
  readonly kind: 'log';
  readonly vertex: Digest;
  readonly stream: 1 | 2;
  readonly data: Uint8Array;
  readonly timestamp: number;
}

/** A warning to be shown after the build, unless it is urgent, with its place in the Dockerfile when it has one. */
export interface WarningEvent {
  readonly kind: 'warning';
  readonly vertex?: Digest;
  readonly short: string;
  readonly detail: readonly string[];
  /** It is about what runs next, and has to be shown before that does. */
  readonly isUrgent?: boolean;
  readonly url?: string;
  readonly source?: { readonly name: string; readonly text: string; readonly startLine: number; readonly endLine: number };
}

/** Why a vertex was not cached, told when it starts to run: for `--explain` and `kiln explain`. */
export interface MissEvent {
  readonly kind: 'miss';
  readonly vertex: Digest;
  readonly name: string;
  /** One sentence without a period, in the user's words. */
  readonly reason: string;
}

/** Where events go. Must not throw and must not block. */
export type ProgressSink = (event: ProgressEvent) => void;
