/**
 * Runs of like weight, some `parts` of them (never more than one over); neighbours stay together. Nothing gives no run.
 */
export function divide<T>(items: readonly T[], parts: number, weight: (item: T) => number): T[][] {
  if (items.length === 0) return [];
  const share = items.reduce((sum, item) => sum + weight(item), 0) / parts;
  const runs: T[][] = [[]];
  let sum = 0;
  for (const item of items) {
    if (sum > share) {
      runs.push([]);
      sum = 0;
    }
    runs.at(-1)!.push(item);
    sum += weight(item);
  }
  return runs;
}
