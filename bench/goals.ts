/**
 * What BuildKit 0.33 and Docker 28.5 took on one machine in one session: a virtual one with two
 * cores, the base in a registry on it, BuildKit with the host's network and without making an
 * image. An empty Node process took EMPTY_PROCESS_S. The goals of Kiln were set beside them.
 */
export const EMPTY_PROCESS_S = 0.037;

/** The geometric mean of BuildKit ÷ Kiln that is asked for, and what no row may be below. */
export const MEAN_GOAL = 3.5;
export const LEAST_GOAL = 1.5;

export interface Goal {
  /** Seconds. */
  readonly buildkit: number;
  /** Seconds. Undefined where Docker was not measured beside BuildKit. */
  readonly docker?: number;
  /** BuildKit ÷ Kiln that is asked for. */
  readonly times: number;
  /** The most that Kiln may take, in times of the row's floor. */
  readonly floors?: number;
}

/** By the name of the case. The rows are those with the base in a registry. */
export const GOALS: ReadonlyMap<string, Goal> = new Map(
  Object.entries({
    'run-true-10-cached': { buildkit: 0.12, docker: 0.61, times: 1.6, floors: 2 },
    'run-true-100-cached': { buildkit: 0.283, times: 2.5 },
    'copies-50-cached': { buildkit: 0.188, docker: 1.82, times: 2 },
    'copy-unchanged': { buildkit: 0.967, times: 4.5 },
    'copy-one-changed': { buildkit: 5.1, times: 6 },
    'copy-cold': { buildkit: 9.67, docker: 23.7, times: 5, floors: 2 },
    'run-true-10-cold': { buildkit: 1.1, docker: 2.32, times: 4 },
    'run-true-100-cold': { buildkit: 12, times: 8, floors: 1.5 },
    'copies-50-cold': { buildkit: 1.77, docker: 6.8, times: 4 },
    'parallel-sleep': { buildkit: 1.88, docker: 3.04, times: 1.65 },
    'pull-and-run': { buildkit: 2.82, times: 3, floors: 1.2 },
    'pull-node-and-run': { buildkit: 4.79, times: 3, floors: 1.2 },
  }),
);

/** Seconds of one row and of the session. */
export interface Measured {
  readonly kiln: number;
  readonly buildkit: number | undefined;
  readonly docker: number | undefined;
  readonly floor: number | undefined;
  readonly emptyProcess: number;
}

export interface Verdict {
  /** How many times longer BuildKit takes. */
  readonly buildkit: number;
  /** BuildKit was measured, and is not estimated. */
  readonly isMeasured: boolean;
  readonly isHit: boolean;
}

/** Holds a row to its goal, with an estimate of BuildKit where it was not measured. */
export function judge(goal: Goal, measured: Measured): Verdict {
  const buildkit = (measured.buildkit ?? estimate(goal, measured)) / measured.kiln;
  const isNearFloor =
    goal.floors === undefined ||
    measured.floor === undefined ||
    measured.kiln <= goal.floors * measured.floor;
  return {
    buildkit,
    isMeasured: measured.buildkit !== undefined,
    isHit: buildkit >= goal.times && isNearFloor,
  };
}

/**
 * Where Docker was measured, BuildKit is taken for as many times faster than Docker as it was
 * beside it. Elsewhere its seconds are scaled by how fast an empty Node process starts.
 */
const estimate = ({ buildkit, docker }: Goal, measured: Measured): number =>
  docker !== undefined && measured.docker !== undefined
    ? measured.docker * (buildkit / docker)
    : buildkit * (measured.emptyProcess / EMPTY_PROCESS_S);

/** The goal in words. */
export function goalText({ times, floors }: Goal): string {
  const peer = `${times}× (BuildKit)`;
  return floors === undefined ? peer : `${peer}, ${floors} × floor`;
}
