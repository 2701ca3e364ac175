import type { Digest } from '../../base/digest.ts';
import type { SourceText } from '../../base/errors.ts';
import type { LlbOp } from './ops.ts';

/**
 * An LLB graph in memory. A vertex is immutable and named by the digest of its marshalled op; equal
 * ops are one vertex. Built by `builder.ts`, written as a protobuf Definition by `definition.ts`,
 * turned into solver vertices by `solver/load-graphs.ts`.
 */
export interface LlbVertex {
  readonly digest: Digest;
  /** The deterministic bytes of pb.Op. */
  readonly bytes: Uint8Array;
  readonly op: LlbOp;
  readonly inputs: readonly LlbEdge[];
  readonly metadata: OpMetadata;
}

export interface LlbEdge {
  readonly vertex: LlbVertex;
  readonly output: number;
}

/** pb.OpMetadata and what progress needs; outside the digest. */
export interface OpMetadata {
  readonly ignoreCache?: boolean;
  /** `llb.customname` is what progress shows. */
  readonly description: Readonly<Record<string, string>>;
  /** pb.OpMetadata.caps: the capability names that the op needs, as BuildKit's client sets them. */
  readonly caps: readonly string[];
  readonly progressGroup?: { readonly id: string; readonly name: string; readonly weak: boolean };
  /** Where in the Dockerfile this op comes from; several when merged. */
  readonly locations: readonly SourceRange[];
}

/** Lines and columns as pb.Range: lines count from 1, characters from 0. */
export interface SourceRange {
  readonly source: SourceText;
  readonly start: { readonly line: number; readonly character: number };
  readonly end: { readonly line: number; readonly character: number };
}
