import type { Digest } from '../base/digest.ts';
import type { Platform } from '../base/platform.ts';
import type { OpenContainer } from './container.ts';
import type { LlbOp } from './llb/ops.ts';
import type { BuildResult } from './result.ts';
import type { Op, SolverOptions } from './solver.ts';

/**
 * # What runs ops
 *
 * A worker makes an `Op` of each vertex of a build graph. The solver gets the key of the vertex
 * from the op and runs it. This host is one worker (local-worker.ts); another machine can be
 * another one.
 *
 * The seam is above the ops and not at the executor. A `ProcessSpec` holds paths, descriptors and
 * mounts of one host; a vertex holds nothing of a host. Everything that crosses the seam can be
 * sent as bytes:
 *
 *     to the worker     the vertex             the bytes of its LLB op (`bytes`), and `ignoreCache`
 *                       inputs                 layers by diffID and blob; a directory by its files
 *                       what the caller lends  questions to the session, answered in bytes
 *     from the worker   the key                plain data; each content digest is one more question
 *                       results                layers by diffID and blob
 *                       progress, usage        plain data
 *                       errors                 class, code and hint (snapshotter/workers/wire.ts)
 *
 * `worker.contract.ts` tests what every worker must do. It runs against the local worker and
 * against one that exchanges nothing but bytes (testing/loopback-worker.ts). A worker may also
 * combine several: its `opOf` chooses one by the platform of the op.
 */
export interface Worker {
  /**
   * The platforms whose steps this worker runs without emulation. The first one is the platform of
   * image sources that name none.
   */
  readonly platforms: readonly [Platform, ...Platform[]];
  /** How many ops of each resource the worker runs at the same time. */
  readonly limits: SolverOptions<BuildResult>['limits'];
  /**
   * Returns the op of a vertex. Runs nothing and sends no request. The op keeps nothing of a build:
   * what a caller lends is passed with each call. Throws KILN_GRAPH_INVALID,
   * KILN_OP_UNSUPPORTED or KILN_SOURCE_UNSUPPORTED for a vertex that the worker cannot run. A
   * remote worker may instead reject with them from `cacheMap` and `run`. Both reject with
   * KILN_NOT_ALLOWED when the session does not allow what the vertex needs.
   */
  opOf(vertex: WorkerVertex): Op<BuildResult>;
  /**
   * Returns the op of `--squash`, which is not a part of LLB. It has one input: a snapshot, whose
   * layers above the lowest `keep` it merges into one.
   */
  squash(keep: number): Op<BuildResult>;
  /** Opens a container of results. A worker without it runs nothing but steps. */
  readonly openContainer?: OpenContainer | undefined;
}

/** What a worker gets of a vertex: everything that decides what runs. An `LlbVertex` is one. */
export interface WorkerVertex {
  readonly digest: Digest;
  /** The op as deterministic protobuf (`pb.Op`). */
  readonly bytes: Uint8Array;
  readonly op: LlbOp;
  readonly inputs: { readonly length: number };
  readonly metadata: { readonly ignoreCache?: boolean };
}
