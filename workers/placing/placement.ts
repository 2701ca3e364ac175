import { formatPlatform, type Platform } from '../../base/platform.ts';
import type { BuildWithWorkers } from '../../builder/other-workers.ts';
import type { LlbVertex } from '../../solver/llb/graph.ts';
import { MOUNT_TYPE } from '../../solver/llb/mount.ts';
import type { BuildResult } from '../../solver/result.ts';
import type { Vertex } from '../../solver/solver.ts';

type PlacedBuild = Pick<BuildWithWorkers, 'worker' | 'session' | 'costOf'>;

/** Why a vertex may go to another machine. */
export interface Reason {
  readonly kind: 'foreign' | 'expensive';
  /** Words for the user, such as `linux/arm64 would be emulated here`. */
  readonly text: string;
  /** How long the steps took the last time, in milliseconds. 0 when that does not matter. */
  readonly costMs: number;
}

/** Steps that took less than this together stay here: asking for them costs as much. In ms. */
const MIN_COST_MS = 3_000;

/**
 * # Which steps may go to another machine
 *
 * A process for a platform that this host does not run by itself; and a process at the end of a row
 * of steps that took long the last time, while such a row runs here already. Everything else stays.
 */
export class StepPlacement {
  readonly #build: PlacedBuild;
  readonly #own: ReadonlySet<string>;
  readonly #reasons = new WeakMap<LlbVertex, { readonly reason: Reason | undefined }>();
  /** The vertices of the expensive rows that stay here. */
  readonly #staying = new WeakSet<LlbVertex>();
  #here = 0;

  constructor(build: PlacedBuild) {
    this.#build = build;
    this.#own = new Set(build.worker.platforms.map(formatPlatform));
  }

  /** Undefined for a vertex that stays here. */
  reasonFor({ origin }: Vertex<BuildResult>): Reason | undefined {
    const vertex = origin as LlbVertex | undefined;
    if (!vertex || this.#staying.has(vertex)) return undefined;
    let known = this.#reasons.get(vertex);
    if (!known) this.#reasons.set(vertex, (known = { reason: this.#find(vertex) }));
    return known.reason;
  }

  /**
   * Whether a row of steps that could go stays all the same, because none like it runs here yet.
   * Once it stays, all of it does.
   */
  keepsHere(vertex: LlbVertex, { kind }: Reason): boolean {
    if (kind === 'foreign' || this.#here > 0) return false;
    this.#here++;
    for (const one of rowOf(vertex)) this.#staying.add(one);
    return true;
  }

  #find(vertex: LlbVertex): Reason | undefined {
    const { op } = vertex;
    if (op.kind !== 'exec' || !this.#isSendable(vertex)) return undefined;
    const platform = statedPlatform(vertex);
    if (platform && !this.#own.has(formatPlatform(platform)))
      return {
        kind: 'foreign',
        text: `${formatPlatform(platform)} would be emulated here`,
        costMs: 0,
      };
    const cost = rowOf(vertex).reduce((sum, one) => sum + this.#costOf(one), 0);
    if (cost < MIN_COST_MS) return undefined;
    const text = `it took ${Math.round(cost / 1000)} s the last time`;
    return { kind: 'expensive', text, costMs: cost };
  }

  #costOf({ metadata, op }: LlbVertex): number {
    const name = metadata.description['llb.customname'];
    return op.kind === 'exec' && name !== undefined ? (this.#build.costOf(name) ?? 0) : 0;
  }

  /** Steps of several results, and those with limits and devices of this host, stay here. */
  #isSendable({ op }: LlbVertex): boolean {
    const { limits, devices } = this.#build.session;
    if (op.kind !== 'exec' || limits || devices.length > 0) return false;
    if ((op.exec.cdiDevices ?? []).length > 0) return false;
    const results = op.exec.mounts.filter(({ mountType = MOUNT_TYPE.bind, output }) => {
      return mountType === MOUNT_TYPE.bind && output >= 0;
    });
    return results.length === 1;
  }
}

/** The platform of a vertex. Undefined when its graph does not say. */
export function statedPlatform({ op }: LlbVertex): Platform | undefined {
  return op.platform;
}

/** A vertex, and those below it on each of which the next stands: the steps of a stage. */
export function rowOf(vertex: LlbVertex): readonly LlbVertex[] {
  const row = [vertex];
  for (let [base] = vertex.inputs; base; [base] = base.vertex.inputs) row.push(base.vertex);
  return row;
}
