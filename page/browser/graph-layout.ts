import type { BuildView } from '../../history/build-view.ts';

/** Where a step is drawn: a column and a row of a grid. */
export interface GraphNode {
  readonly step: number;
  readonly stage: number;
  readonly column: number;
  readonly row: number;
}

/** A stage as a box around its steps. */
export interface GraphStage {
  readonly stage: number;
  readonly column: number;
  readonly first: number;
  readonly last: number;
}

export interface GraphLayout {
  /** By the index of the step. */
  readonly nodes: ReadonlyMap<number, GraphNode>;
  readonly stages: readonly GraphStage[];
  /** From an input to the step that needs it. */
  readonly edges: readonly (readonly [from: number, to: number])[];
  readonly columns: number;
  readonly rows: number;
}

/**
 * Lays a build out from the top down. Each stage is in one column, and each step is below all that
 * it needs. Stages that are not beside each other share a column, if one begins below the other.
 */
export function layoutGraph({ steps }: Pick<BuildView, 'steps'>): GraphLayout {
  const depths = depthsOf(steps.map(({ inputs }) => inputs));
  const members = new Map<number, number[]>();
  for (const [index, { stage = -1 }] of steps.entries()) {
    const own = members.get(stage);
    if (own) own.push(index);
    else members.set(stage, [index]);
  }
  const rows = new Map<number, number>();
  const spans = [...members].map(([stage, own]) => {
    // Below the steps before it in its stage, as each row of a column holds one step.
    let next = 0;
    for (const step of own.sort((a, b) => depths[a]! - depths[b]! || a - b)) {
      const row = Math.max(next, depths[step]!);
      rows.set(step, row);
      next = row + 1;
    }
    return { stage, first: rows.get(own[0]!)!, last: next - 1 };
  });
  settle(steps, members, rows);
  closeGaps(steps, members, rows);
  const stages = columnsOf(
    spans.map(({ stage }) => {
      const own = members.get(stage)!.map((step) => rows.get(step)!);
      return { stage, first: Math.min(...own), last: Math.max(...own) };
    }),
    (stage) => steps[members.get(stage)![0]!]!.inputs.map((input) => steps[input]?.stage ?? -1),
  );
  const columns = new Map(stages.map(({ stage, column }) => [stage, column]));
  const nodes = new Map(
    steps.map(({ stage = -1 }, step): [number, GraphNode] => [
      step,
      { step, stage, column: columns.get(stage)!, row: rows.get(step)! },
    ]),
  );
  return {
    nodes,
    stages,
    edges: steps.flatMap(({ inputs }, to) =>
      inputs.flatMap((from): [number, number][] =>
        steps[from] && from !== to ? [[from, to]] : [],
      ),
    ),
    columns: 1 + Math.max(-1, ...stages.map(({ column }) => column)),
    rows: 1 + [...rows.values()].reduce((most, row) => Math.max(most, row), -1),
  };
}

/** Moves steps down until each is below what it needs, also where a column pushed that down. */
function settle(
  steps: BuildView['steps'],
  members: ReadonlyMap<number, readonly number[]>,
  rows: Map<number, number>,
): void {
  // A damaged record may have circles, so it ends after as many rounds as there are stages.
  for (let round = 0; round <= members.size; round++) {
    let hasMoved = false;
    for (const own of members.values()) {
      let next = 0;
      for (const step of own) {
        const needs = steps[step]!.inputs.map((input) => (rows.get(input) ?? -1) + 1);
        const row = Math.max(next, rows.get(step)!, ...needs);
        if (row !== rows.get(step) && row < 4 * steps.length) {
          rows.set(step, row);
          hasMoved = true;
        }
        next = rows.get(step)! + 1;
      }
    }
    if (!hasMoved) return;
  }
}

/** Moves the first steps of a stage down to the rest of it, as far as other stages allow. */
function closeGaps(
  steps: BuildView['steps'],
  members: ReadonlyMap<number, readonly number[]>,
  rows: Map<number, number>,
): void {
  /** The first row in which another stage needs a step. */
  const needed = steps.map(() => Number.POSITIVE_INFINITY);
  for (const [index, { inputs, stage }] of steps.entries())
    for (const input of inputs)
      if (steps[input] && steps[input].stage !== stage)
        needed[input] = Math.min(needed[input]!, rows.get(index)!);
  for (const [stage, own] of members) {
    if (stage < 0) continue;
    let below = Number.POSITIVE_INFINITY;
    for (const step of own.toReversed()) {
      const row = rows.get(step)!;
      const lowest = below === Number.POSITIVE_INFINITY ? row : Math.min(below, needed[step]!) - 1;
      below = Math.max(row, lowest);
      rows.set(step, below);
    }
  }
}

/** How many steps are on the longest way to each step. Those of a circle count as first ones. */
function depthsOf(inputs: readonly (readonly number[])[]): number[] {
  const depths = inputs.map(() => 0);
  const missing = inputs.map((own, index) => own.filter((input) => isOther(input, index)).length);
  const followers = inputs.map((): number[] => []);
  function isOther(input: number, index: number): boolean {
    return input !== index && inputs[input] !== undefined;
  }
  for (const [index, own] of inputs.entries())
    for (const input of own) if (isOther(input, index)) followers[input]!.push(index);
  const ready = missing.flatMap((count, index) => (count === 0 ? [index] : []));
  for (let at = 0; at < ready.length; at++)
    for (const follower of followers[ready[at]!]!) {
      depths[follower] = Math.max(depths[follower]!, depths[ready[at]!]! + 1);
      if (--missing[follower]! === 0) ready.push(follower);
    }
  return depths;
}

/** Gives each stage a column in which its rows are free: that of a stage before it if possible. */
function columnsOf(
  spans: readonly { readonly stage: number; readonly first: number; readonly last: number }[],
  before: (stage: number) => readonly number[],
): GraphStage[] {
  /** The last row that is taken in each column. */
  const taken: number[] = [];
  const columns = new Map<number, number>();
  const sorted = [...spans].sort((a, b) => a.first - b.first || a.stage - b.stage);
  return sorted.map(({ stage, first, last }) => {
    const isFree = (column: number) => taken[column]! < first - 1;
    const wanted = before(stage).map((other) => columns.get(other) ?? -1);
    const column =
      wanted.find((own) => own >= 0 && isFree(own)) ?? taken.findIndex((_, own) => isFree(own));
    const found = column >= 0 ? column : taken.length;
    taken[found] = last;
    columns.set(stage, found);
    return { stage, column: found, first, last };
  });
}
