import type { StatementSubject } from '../exporter/attest/attestation.ts';
import type { TargetResult } from '../frontend/frontend.ts';
import type { LlbEdge } from '../solver/llb/graph.ts';

/** A target as a client or a frontend returns it, with what is said about it. */
export interface AnsweredTarget extends TargetResult {
  readonly attestations?: readonly TreeAttestation[] | undefined;
  /**
   * What it is called in the result, when that is not its platform. It names the directory of the
   * target in an output that is a tree.
   */
  readonly id?: string | undefined;
  /** True when a client made its graph, and no frontend that the server knows. */
  readonly isGraph?: boolean | undefined;
  /** Nothing says which platform it is of. So it cannot be exported beside others. */
  readonly isUnmapped?: boolean | undefined;
}

/**
 * # Statements that come with a result
 *
 * A client or a frontend in an image may say something about its result: an SBOM, for example. The
 * content is in files of a tree that a graph makes. Everything in it is untrusted.
 */
export interface TreeAttestation {
  /** The file at `path` is a predicate, or the files in the directory `path` are statements. */
  readonly kind: 'predicate' | 'bundle';
  /** Undefined for the empty tree. */
  readonly edge: LlbEdge | undefined;
  /** It is resolved inside the tree. */
  readonly path: string;
  /** The type of the predicate. In a bundle, the empty type stands for any. */
  readonly type: string;
  /** What the statement is about. When empty, it is the result. */
  readonly subjects: readonly StatementSubject[];
  /** What else is said of it, by BuildKit's names: `reason`, `inline-only`. */
  readonly metadata: Readonly<Record<string, Uint8Array>>;
}
