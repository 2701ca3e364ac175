import type { Digest } from '../base/digest.ts';
import type { Platform } from '../base/platform.ts';
import type { LlbOp } from './llb/ops.ts';
import type { BuildResult } from './result.ts';
import type { Op, SolverOptions } from './solver.ts';

/**
 * # What runs ops
 *
 * A worker turns each vertex of a build graph into an `Op`: the thing that a solver asks for its
 * key and runs. This host is one worker (local-worker.ts); another machine can be another one.
 *
 * The seam is here, above the ops, and not at the executor. A `ProcessSpec` holds paths,
 * descriptors and mounts of one host; a vertex holds nothing of a host. All that crosses the seam
 * has a form in bytes:
 *
 *     to the worker     the vertex             the bytes of its LLB op (`bytes`), and `ignoreCache`
 *                       inputs                 layers by diffID and blob; a directory by its files
 *                       what the caller lends  questions to the session, answered in bytes
 *     from the worker   the key                plain data; each content digest is one more question
 *                       results                layers by diffID and blob
 *                       progress, usage        plain data
 *                       errors                 class, code and hint (snapshotter/workers/wire.ts)
 *
 * `worker.contract.ts` is what every worker has to do. It is held to the local worker and to one
 * that is given bytes only (testing/loopback-worker.ts). Several workers can stand behind one: a
 * worker whose `opOf` chooses among others by the platform of the op.
 */
export interface Worker {
  /**
   * What it runs steps for by itself. The first one is what an image source without a platform
   * means.
   */
  readonly platforms: readonly Platform[];
  /** How many ops of each kind it runs at once. */
  readonly limits: SolverOptions<BuildResult>['limits'];
  /**
   * The op of a vertex. Runs nothing and asks nobody. The op keeps nothing of a build: what its
   * caller lends comes with each call. Throws KILN_GRAPH_INVALID, KILN_NOT_ALLOWED,
   * KILN_OP_UNSUPPORTED or KILN_SOURCE_UNSUPPORTED for what it cannot run; a worker that is
   * elsewhere may instead reject with them from `cacheMap` and `run`.
   */
  opOf(vertex: WorkerVertex): Op<BuildResult>;
}

/** What a worker is told of a vertex: all that decides what runs. An `LlbVertex` is one. */
export interface WorkerVertex {
  readonly digest: Digest;
  /** The deterministic bytes of pb.Op. */
  readonly bytes: Uint8Array;
  readonly op: LlbOp;
  readonly inputs: { readonly length: number };
  readonly metadata: { readonly ignoreCache?: boolean };
}
