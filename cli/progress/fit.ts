/**
 * The lines of one step: its name with its time, and below it what it transfers and the end of its
 * output.
 */
export interface StepRows {
  readonly running: boolean;
  readonly failed: boolean;
  readonly name: string;
  readonly details: readonly string[];
}

/**
 * The rows that are shown when there is room for `room` of them, in the order of the steps. What
 * runs goes before what failed, that before what is done, and the latest done before the earlier.
 * Where not even all that runs fits, the last row is `more(count)`.
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

/** Gives each step one more line in turn, as long as there is room; answers how many were given. */
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
