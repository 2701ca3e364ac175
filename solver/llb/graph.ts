import type { Digest } from '../../base/digest.ts';
import type { SourceText } from '../../base/errors.ts';
import type { LlbOp } from './ops.ts';

/**
 * A vertex of an LLB graph in memory. It is immutable and named by the digest of its marshalled op,
 * so equal ops are one vertex. Graphs are built by `builder.ts`, written as protobuf by
 * `definition.ts`, and turned into the solver's vertices by `solver/load-graphs.ts`.
 */
export interface LlbVertex {
  readonly digest: Digest;
  /** The op as deterministic protobuf (`pb.Op`). */
  readonly bytes: Uint8Array;
  readonly op: LlbOp;
  readonly inputs: readonly LlbEdge[];
  readonly metadata: OpMetadata;
}

/** One output of a vertex. */
export interface LlbEdge {
  readonly vertex: LlbVertex;
  readonly output: number;
}

/** pb.OpMetadata and the source locations of the op. It is not part of the digest. */
export interface OpMetadata {
  readonly ignoreCache?: boolean;
  /** Free text by name; `llb.customname` is the name that progress shows. */
  readonly description: Readonly<Record<string, string>>;
  /** The names of the capabilities that the op needs, as BuildKit's client sets them. */
  readonly caps: readonly string[];
  readonly progressGroup?: { readonly id: string; readonly name: string; readonly weak: boolean };
  /** The lines of the Dockerfile that the op comes from; several if equal ops were joined. */
  readonly locations: readonly SourceRange[];
}

/** A range in a source file, as pb.Range. Lines count from 1, characters from 0. */
export interface SourceRange {
  readonly source: SourceText;
  readonly start: { readonly line: number; readonly character: number };
  readonly end: { readonly line: number; readonly character: number };
}
