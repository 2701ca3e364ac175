/** The indexes of the largest values above 0, the largest first, at most `count` of them. */
export function largestOf(
  values: Float64Array,
  count: number,
  mayCount: (index: number) => boolean = () => true,
): number[] {
  if (count <= 0) return [];
  let kept: number[] = [];
  let least = 0;
  const cut = () => {
    kept = kept.sort((a, b) => values[b]! - values[a]! || a - b).slice(0, count);
    if (kept.length === count) least = values[kept.at(-1)!]!;
  };
  for (let at = 0; at < values.length; at++) {
    if (values[at]! <= least || !mayCount(at)) continue;
    kept.push(at);
    if (kept.length >= 2 * count + 1000) cut();
  }
  cut();
  return kept;
}
