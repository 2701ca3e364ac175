/**
 * Splits the items into about `parts` runs of similar weight, never more than one run over. The
 * order is kept. An empty list gives no run.
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
