/** The rows of one step in the live view. */
export interface StepRows {
  readonly running: boolean;
  readonly failed: boolean;
  /** The row with the name and the time of the step. */
  readonly name: string;
  /** The rows below it: transfers, and the end of the output. */
  readonly details: readonly string[];
}

/**
 * Chooses the rows to show on a screen with `room` rows. Running steps come first, then failed
 * steps, then finished steps, the latest first. Returns the chosen rows in the order of the steps.
 * When there are more running steps than rows, the last row is `more(count)`, where `count` is the
 * number of running steps that are not shown.
 */
export function chooseRows(
  steps: readonly StepRows[],
  room: number,
  more: (count: number) => string,
): string[] {
  const running = steps.filter((step) => step.running);
  if (running.length > room) {
    const shown = running.slice(0, Math.max(0, room - 1));
    return [...shown.map(({ name }) => name), more(running.length - shown.length)];
  }
  let left = room - running.length;
  const names = new Set<StepRows>(running);
  const details = new Map<StepRows, number>();
  left -= shareAmong(running, left, details);
  const ended = steps.filter((step) => !step.running).reverse();
  for (const step of [
    ...ended.filter(({ failed }) => failed),
    ...ended.filter(({ failed }) => !failed),
  ]) {
    if (left === 0) break;
    names.add(step);
    left--;
  }
  const named = ended.filter((step) => names.has(step));
  for (const step of named) {
    const count = Math.min(left, step.details.length);
    details.set(step, count);
    left -= count;
  }
  return steps
    .filter((step) => names.has(step))
    .flatMap((step) => [step.name, ...lastOf(step.details, details.get(step) ?? 0)]);
}

/**
 * Distributes `room` rows among the steps: one row to each in turn. Adds to `given` how many rows
 * each step gets. Returns the number of rows used.
 */
function shareAmong(
  steps: readonly StepRows[],
  room: number,
  given: Map<StepRows, number>,
): number {
  let used = 0;
  for (let again = true; again && used < room; ) {
    again = false;
    for (const step of steps) {
      const count = given.get(step) ?? 0;
      if (used === room || count === step.details.length) continue;
      given.set(step, count + 1);
      used++;
      again = true;
    }
  }
  return used;
}

function lastOf(lines: readonly string[], count: number): readonly string[] {
  return count === 0 ? [] : lines.slice(-count);
}
